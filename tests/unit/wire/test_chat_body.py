"""Prompts as Chat Completions bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import Loss, UpstreamError
from shoal.core.item import (
    Image,
    Item,
    Message,
    Opaque,
    OtherPart,
    Reasoning,
    Speaker,
    Text,
    ToolCall,
    ToolResult,
    say,
)
from shoal.core.request import Prompt, Sampling, Tool, ToolChoice, ToolMode
from shoal.wire.openai_chat import OpenAIChat

ENDPOINT = Endpoint("acme/big", "acme", "big", Model("acme/big", "acme"), "https://api.acme.test/v3/")
TOOL = Tool("look", {"type": "function", "function": {"name": "look", "parameters": {}}})
DIALECT = OpenAIChat()


def body_of(prompt: Prompt, endpoint: Endpoint = ENDPOINT, *, stream: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(DIALECT.encode(prompt, endpoint, stream=stream, key=None).body)
    return found


def messages_of(*items: Item) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_of(Prompt(items))["messages"]
    return found


def test_the_base_url_is_kept_whole() -> None:
    outgoing = DIALECT.encode(Prompt((say("x"),)), ENDPOINT, stream=False, key="k")
    assert outgoing.url == "https://api.acme.test/v3/chat/completions"
    assert outgoing.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("auth", "header"),
    [("x-api-key", "x-api-key"), ("header:api-subscription-key", "api-subscription-key")],
)
def test_the_key_goes_into_the_header_the_endpoint_names(auth: str, header: str) -> None:
    headers = DIALECT.encode(Prompt((say("x"),)), replace(ENDPOINT, auth=auth), stream=False, key="k").headers
    assert headers[header] == "k"
    assert "authorization" not in headers


def test_no_key_is_sent_where_none_is_wanted() -> None:
    headers = DIALECT.encode(Prompt((say("x"),)), replace(ENDPOINT, auth="none"), stream=True, key="k").headers
    assert set(headers) == {"content-type", "accept"}


def test_a_call_is_printed_without_its_key_and_its_body() -> None:
    outgoing = DIALECT.encode(Prompt((say("my words"),)), ENDPOINT, stream=False, key="sk-secret")
    assert "sk-secret" not in repr(outgoing)
    assert "my words" not in repr(outgoing)


@pytest.mark.parametrize("key", ["a\r\nx-evil: 1", "a b", "ключ"])
def test_a_key_that_would_break_a_header_is_never_sent(key: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.encode(Prompt((say("x"),)), ENDPOINT, stream=False, key=key)
    assert caught.value.loss is Loss.ACCOUNT
    assert not caught.value.sent
    assert key not in str(caught.value)


def test_an_address_with_a_place_to_fill_in_is_never_called() -> None:
    with pytest.raises(UpstreamError, match="place to fill in"):
        DIALECT.encode(Prompt((say("x"),)), replace(ENDPOINT, base_url="https://x/{account}"), stream=False, key=None)


def test_thinking_text_and_calls_of_one_turn_become_one_message() -> None:
    found = messages_of(
        say("q"),
        Reasoning("hm"),
        say("let me look", Speaker.ASSISTANT),
        ToolCall("c1", "look", "{}"),
        ToolCall("c2", "look", "{}"),
        ToolResult("c1", (Text("a"),)),
        ToolResult("c2", (Text("b"),)),
    )
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "tool"]
    assert found[1]["content"] == "let me look"
    assert [call["id"] for call in found[1]["tool_calls"]] == ["c1", "c2"]
    assert found[2] == {"role": "tool", "tool_call_id": "c1", "content": "a"}


def test_two_assistant_messages_stay_two() -> None:
    found = messages_of(say("a", Speaker.ASSISTANT), say("b", Speaker.ASSISTANT))
    assert [message["content"] for message in found] == ["a", "b"]


def test_thinking_of_earlier_turns_is_left_out_where_nobody_asks_for_it() -> None:
    assert messages_of(Reasoning("hm"), say("a", Speaker.ASSISTANT)) == [{"role": "assistant", "content": "a"}]


def test_a_call_without_text_has_null_content() -> None:
    assert messages_of(ToolCall("c", "look", "{}"))[0]["content"] is None


def test_system_and_developer_are_one_word() -> None:
    found = messages_of(say("a", Speaker.SYSTEM), say("b", Speaker.DEVELOPER))
    assert [message["role"] for message in found] == ["system", "system"]


def test_parts_are_handed_on_as_they_came() -> None:
    audio = OtherPart("input_audio", {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}})
    picture = Image("https://x.test/a.png", "low")
    found = messages_of(Message(Speaker.USER, (Text("see"), picture, audio), name="kim"))[0]
    assert found["name"] == "kim"
    assert found["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
    ]


def test_opaque_items_stay_here() -> None:
    assert messages_of(Opaque("secret", {"a": 1}), say("x")) == [{"role": "user", "content": "x"}]


def test_only_what_was_said_is_sent() -> None:
    assert body_of(Prompt((say("x"),))) == {"model": "big", "messages": [{"role": "user", "content": "x"}]}


def test_everything_said_is_sent() -> None:
    sampling = Sampling(
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        stop=("a", "b"),
        seed=0,
        n=2,
        logprobs=True,
        top_logprobs=3,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        reasoning_effort="low",
        response_format={"type": "json_object"},
        extra={"metadata": {"a": "b"}, "messages": "not yours", "stream": True},
    )
    choice = ToolChoice(ToolMode.NAMED, "look")
    prompt = Prompt((say("x"),), sampling, tools=(TOOL,), tool_choice=choice, parallel_tool_calls=False, user="u")
    body = body_of(prompt)
    assert body.pop("messages") == [{"role": "user", "content": "x"}]
    assert body == {
        "model": "big",
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["a", "b"],
        "seed": 0,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "metadata": {"a": "b"},
        "tools": [TOOL.raw],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "user": "u",
    }


def test_a_stream_asks_for_its_usage() -> None:
    body = body_of(Prompt((say("x"),)), stream=True)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_a_prompt_is_the_same_after_it_was_sent() -> None:
    marked = Message(Speaker.USER, (Text("a", {"cache_control": {"type": "ephemeral"}}), Text("b")))
    prompt = Prompt((marked,), Sampling(extra={"thinking": {"type": "enabled"}}), tools=(TOOL,))
    before = repr(prompt)
    quirks = frozenset({"string_content_only", "thinking_object_toggle", "function_tools_only", "tool_choice_any"})
    body_of(prompt, replace(ENDPOINT, quirks=quirks))
    assert repr(prompt) == before


def test_what_json_cannot_hold_is_the_requests_fault_and_never_leaves() -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.encode(Prompt((say("\ud800"),)), ENDPOINT, stream=False, key=None)
    assert caught.value.loss is Loss.REQUEST
    assert not caught.value.sent
