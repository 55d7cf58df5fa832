"""What a quirk does to a body, beyond what the conformance suite can see from outside."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shoal.core.endpoint import Endpoint, Model
from shoal.core.item import Producer, Reasoning, Speaker, Text, ToolCall, say
from shoal.core.request import Prompt, Sampling, Tool, ToolChoice, ToolMode
from shoal.wire.openai_chat import OpenAIChat


def body_of(prompt: Prompt, *quirks: str, efforts: tuple[str, ...] = (), provider: str = "acme") -> dict[str, Any]:
    model = Model("acme/big", "acme", reasoning=True, reasoning_effort=efforts)
    endpoint = Endpoint("acme/big", provider, "big", model, "https://x.test/v1", quirks=frozenset(quirks))
    found: dict[str, Any] = orjson.loads(OpenAIChat().encode(prompt, endpoint, stream=False, key=None).body)
    return found


def asked(**sampling: Any) -> Prompt:
    return Prompt((say("x"),), Sampling(**sampling))


def test_a_limit_is_never_sent_under_two_names() -> None:
    prompt = asked(max_tokens=5, extra={"max_completion_tokens": 9})
    assert body_of(prompt, "max_tokens_only").items() >= {"max_tokens": 5}.items()
    assert "max_completion_tokens" not in body_of(prompt, "max_tokens_only")
    assert "max_tokens" not in body_of(prompt, "max_completion_tokens_only")


def test_thinking_goes_back_to_its_producer_only() -> None:
    theirs = Reasoning("theirs", Producer("acme/big", "big"))
    others = Reasoning("another's", Producer("other/m", "m"))
    turns = Prompt((theirs, say("a", Speaker.ASSISTANT), say("q"), others, say("b", Speaker.ASSISTANT), say("r")))
    messages = body_of(turns, "reasoning_echo_required")["messages"]
    assert messages[0]["reasoning_content"] == "theirs"
    assert messages[2]["reasoning_content"] == " "
    assert "another's" not in orjson.dumps(messages).decode()


def test_thinking_goes_back_in_tags_where_it_came_in_tags() -> None:
    turns = Prompt((Reasoning("hm"), say("a", Speaker.ASSISTANT), ToolCall("c", "t", "{}"), say("q")))
    message = body_of(turns, "reasoning_echo_required", "think_tags_in_content")["messages"][0]
    assert message["content"] == "<think>\nhm\n</think>\n\na"
    assert "reasoning_content" not in message


@pytest.mark.parametrize(
    ("effort", "words", "sent"),
    [
        ("low", ("high", "max"), "high"),
        ("xhigh", ("high", "max"), "high"),
        ("none", ("max",), "max"),
        ("medium", ("low", "high"), "low"),
        ("odd", ("low", "medium"), "medium"),
    ],
)
def test_an_effort_becomes_the_nearest_word_the_model_lists(effort: str, words: tuple[str, ...], sent: str) -> None:
    assert body_of(asked(reasoning_effort=effort), efforts=words)["reasoning_effort"] == sent


def test_an_effort_is_passed_on_where_nothing_is_known() -> None:
    assert body_of(asked(reasoning_effort="minimal"))["reasoning_effort"] == "minimal"
    assert "reasoning_effort" not in body_of(asked(reasoning_effort="minimal"), "reasoning_effort_enum_varies")


def test_a_clients_own_thinking_object_wins_and_loses_its_budget_at_deepseek() -> None:
    prompt = asked(reasoning_effort="none", extra={"thinking": {"type": "enabled", "budget_tokens": 9}})
    assert body_of(prompt, "thinking_object_toggle", provider="deepseek")["thinking"] == {"type": "enabled"}
    assert body_of(prompt, "thinking_object_toggle")["thinking"]["budget_tokens"] == 9


def test_temperature_is_clamped() -> None:
    assert body_of(asked(temperature=1.7), "temperature_max_1")["temperature"] == 1.0
    assert body_of(asked(temperature=0.0, n=2), "temperature_max_1")["temperature"] == 0.3
    assert "temperature" not in body_of(asked(temperature=0.5), "temperature_fixed")
    assert body_of(asked(temperature=0.5), "temperature_fixed", provider="alibaba")["temperature"] == 0.5


def test_tools_that_are_all_of_another_kind_take_their_choice_with_them() -> None:
    custom = Tool("g", {"type": "custom", "custom": {"name": "g"}}, "custom")
    prompt = Prompt((say("x"),), tools=(custom,), tool_choice=ToolChoice(ToolMode.REQUIRED), parallel_tool_calls=True)
    assert body_of(prompt, "function_tools_only").keys() == {"model", "messages"}


def test_a_schema_is_put_into_words() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    body = body_of(asked(response_format=form), "no_json_schema")
    assert body["response_format"] == {"type": "json_object"}
    assert '{"type":"object"}' in body["messages"][-1]["content"]


def test_marks_are_stripped_unless_they_are_read() -> None:
    marked = Text("a", {"cache_control": {"type": "ephemeral"}})
    prompt = Prompt((say("x"), type(say("x"))(Speaker.USER, (marked,))))
    assert body_of(prompt)["messages"][1]["content"] == "a"
    kept = body_of(prompt, "keeps_cache_control")["messages"][1]["content"]
    assert kept == [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]
