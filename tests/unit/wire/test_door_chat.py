"""Our chat door: what is taken, and what is refused with the path of the field."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from shoal.core.errors import CallerError
from shoal.core.item import Image, Message, OtherPart, Reasoning, Speaker, Text, ToolCall, ToolResult
from shoal.core.label import Label
from shoal.core.request import Effort, Request, Template, ToolChoice, ToolMode
from shoal.wire.door_chat import ChatDoor, parse_request

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
}


def parsed(headers: dict[str, str] | None = None, **fields: Any) -> Request:
    body = {"model": "shoal", "messages": [USER], **fields}
    return parse_request(orjson.dumps(body), headers or {}, run="run_x")


def refused(body: bytes | None = None, headers: dict[str, str] | None = None, **fields: Any) -> CallerError:
    data = orjson.dumps({"model": "shoal", "messages": [USER], **fields}) if body is None else body
    with pytest.raises(CallerError) as caught:
        parse_request(data, headers or {}, run="run_x")
    assert caught.value.status == 400
    assert caught.value.message[0] in "`t" or caught.value.message.startswith("a ")
    assert not caught.value.message.endswith(".")
    return caught.value


def raw(value: bytes, field: bytes = b"temperature") -> bytes:
    return b'{"model": "shoal", "messages": [{"role": "user", "content": "hi"}], "' + field + b'": ' + value + b"}"


def test_the_least_a_client_can_say() -> None:
    request = parsed()
    assert (request.model, request.run, request.question) == ("shoal", "run_x", "hi")
    assert not request.stream and not request.explain
    assert request.effort is Effort.AUTO
    assert request.is_single_turn


def test_everything_a_client_can_say() -> None:
    request = parsed(
        max_completion_tokens=7,
        temperature=0,
        top_p=1,
        stop="end",
        seed=-(2**63),
        n=2,
        logprobs=True,
        top_logprobs=20,
        presence_penalty=-2,
        frequency_penalty=2.0,
        response_format={"type": "json_object"},
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "look"}},
        parallel_tool_calls=False,
        user="u1",
        stream=True,
        stream_options={"include_usage": True},
        metadata={"a": "b"},
        store=False,
        something_new=[1],
        seed_not=None,
    )
    sampling = request.prompt.sampling
    assert (sampling.max_tokens, sampling.stop, sampling.n, sampling.seed) == (7, ("end",), 2, -(2**63))
    assert dict(sampling.extra) == {"metadata": {"a": "b"}, "store": False, "something_new": [1], "seed_not": None}
    assert request.prompt.tool_choice == ToolChoice(ToolMode.NAMED, "look")
    assert request.prompt.tools[0].raw == TOOL
    assert request.stream and request.include_usage


def test_null_is_not_said() -> None:
    names = ("temperature", "stop", "n", "tools", "tool_choice", "stream", "response_format", "shoal", "functions")
    assert parsed(**dict.fromkeys(names)) == parsed()


def test_what_only_shoal_reads() -> None:
    request = parsed(
        {"X-Shoal-Exclude": "host:US, !open-weights"},
        shoal={
            "only": ["country:KR"],
            "exclude": ["provider:x"],
            "budget_usd": 0.25,
            "deadline_s": 30,
            "template": "chain",
            "label": {"subjects": ["KR"], "sectors": ["health"], "personal": True},
            "explain": True,
        },
    )
    assert [str(s) for s in request.narrowing.only] == ["country:KR"]
    assert [str(s) for s in request.narrowing.exclude] == ["provider:x", "host:US", "!open-weights"]
    assert (request.budget_usd, request.deadline_s, request.template) == (Decimal("0.25"), 30.0, Template.CHAIN)
    label = Label(subjects=frozenset({"KR"}), sectors=frozenset({"health"}), personal=True)
    assert request.prompt.label == label
    assert request.explain


def test_a_conversation_becomes_items() -> None:
    request = parsed(
        messages=[
            {"role": "system", "content": "s", "name": "n"},
            {"role": "developer", "content": [{"type": "text", "text": "d"}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "HTTPS://x.test/a.png", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
                ],
            },
            {**CALL, "reasoning_content": "hm", "audio": None, "annotations": []},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "assistant", "content": ""},
        ]
    )
    system, developer, user, thought, call, result, refusal, empty = request.prompt.items
    assert isinstance(system, Message) and (system.speaker, system.name) == (Speaker.SYSTEM, "n")
    assert isinstance(developer, Message) and developer.text == "d"
    assert isinstance(user, Message)
    text, image, other = user.parts
    assert isinstance(text, Text) and text.marks == {"cache_control": {"type": "ephemeral"}}
    assert isinstance(image, Image) and image.detail == "low"
    assert isinstance(other, OtherPart) and other.kind == "input_audio"
    assert thought == Reasoning("hm")
    assert call == ToolCall("c1", "look", "{}")
    assert result == ToolResult("c1", (Text("42"),))
    assert isinstance(refusal, Message) and (refusal.refusal, refusal.parts) == ("no", ())
    assert isinstance(empty, Message) and empty.parts == (Text(""),)


@pytest.mark.parametrize(
    ("model", "said", "effort", "passed"),
    [
        ("shoal", "low", Effort.FAST, None),
        ("shoal", "none", Effort.FAST, None),
        ("shoal", "medium", Effort.AUTO, None),
        ("shoal", "max", Effort.DEEP, None),
        ("shoal-fast", "high", Effort.FAST, None),
        ("shoal-deep", None, Effort.DEEP, None),
        ("shoal/practice", "high", Effort.AUTO, None),
        ("deepseek/deepseek-v4-pro", "high", Effort.AUTO, "high"),
    ],
)
def test_effort_is_ours_for_our_names_and_the_models_for_others(
    model: str, said: str | None, effort: Effort, passed: str | None
) -> None:
    request = parsed(model=model, reasoning_effort=said)
    assert (request.effort, request.prompt.sampling.reasoning_effort) == (effort, passed)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"model": "shoal\xff"}',
        b"[]",
        b'"x"',
        b"null",
        raw(b"NaN"),
        raw(b"Infinity"),
        raw(b"-Infinity"),
        raw(b"1e999"),
        raw(b'"\\ud800"', b"user"),
        raw(b'"\\udc00\\ud800"', b"metadata"),
        raw(b"[" * 100 + b"]" * 100, b"metadata"),
        raw(b'{"a":' * 100 + b"1" + b"}" * 100, b"metadata"),
        b"[" * 1_000_000,
    ],
    ids=range(16),
)
def test_a_body_that_is_no_sound_json_object_is_refused(body: bytes) -> None:
    assert refused(body).param is None


def test_sixty_levels_are_taken() -> None:
    assert parse_request(raw(b"[" * 60 + b"]" * 60, b"metadata"), {}, run="r").prompt.sampling.extra["metadata"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "x" * 300}, "model"),
        ({"model": "a\r\nx-evil: 1"}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [USER] * 4097}, "messages"),
        ({"messages": [{}] * 100_000}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [USER, {"role": "wizard", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 1025}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "name": "a\nb"}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "x", "function_call": {}}]}, "messages[0].function_call"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "messages[0].tool_calls[0].id"),
        ({"messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [CALL, {"role": "tool", "tool_call_id": "c2", "content": "x"}]}, "messages[1].tool_call_id"),
        ({"messages": [CALL, {"role": "tool", "tool_call_id": "c1"}]}, "messages[1].content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "7"}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.01}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": ["a", 7]}, "stop[1]"),
        ({"stop": 7}, "stop"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"reasoning_effort": 7}, "reasoning_effort"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [TOOL] * 513}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "any", "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}, "tools": [TOOL]}, "tool_choice.type"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [TOOL]},
            "tool_choice.function.name",
        ),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"user": {}}, "user"),
        ({"shoal": []}, "shoal"),
        ({"shoal": {"budget": 1}}, "shoal.budget"),
        ({"shoal": {"only": ["nonsense"]}}, "shoal.only[0]"),
        ({"shoal": {"only": [7]}}, "shoal.only[0]"),
        ({"shoal": {"exclude": ["host:US"] * 65}}, "shoal.exclude"),
        ({"shoal": {"budget_usd": -1}}, "shoal.budget_usd"),
        ({"shoal": {"budget_usd": "NaN"}}, "shoal.budget_usd"),
        ({"shoal": {"budget_usd": True}}, "shoal.budget_usd"),
        ({"shoal": {"budget_usd": 1e12}}, "shoal.budget_usd"),
        ({"shoal": {"deadline_s": 0}}, "shoal.deadline_s"),
        ({"shoal": {"deadline_s": 1e9}}, "shoal.deadline_s"),
        ({"shoal": {"template": "spiral"}}, "shoal.template"),
        ({"shoal": {"template": ["direct"]}}, "shoal.template"),
        ({"shoal": {"explain": "yes"}}, "shoal.explain"),
        ({"shoal": {"label": {"colour": 1}}}, "shoal.label.colour"),
        ({"shoal": {"label": {"personal": 1}}}, "shoal.label.personal"),
        ({"shoal": {"label": {"subjects": ["Korea"]}}}, "shoal.label.subjects[0]"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param


@pytest.mark.parametrize(
    "url",
    [
        "http://x.test/a.png",
        "file:///etc/passwd",
        "ftp://x",
        "javascript:1",
        "data:text/html,x",
        "",
        "https://x/\r\ny",
        7,
    ],
)
def test_an_image_comes_by_https_or_as_data_only(url: Any) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    assert refused(messages=[{"role": "user", "content": [part]}]).param == "messages[0].content[0].image_url.url"


def test_an_image_may_not_stand_in_a_system_message() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    assert refused(messages=[{"role": "system", "content": [part]}]).param == "messages[0].content[0].type"


def test_a_wrong_header_is_named() -> None:
    assert refused(headers={"x-shoal-exclude": "host:US,nonsense"}).param == "x-shoal-exclude[1]"


@pytest.mark.parametrize("name", ["Shoal", "SHOAL", " shoal"])
def test_our_own_field_in_other_letters_is_refused_instead_of_lost(name: str) -> None:
    assert refused(None, None, **{name: {"only": ["host:KR"]}}).param == name


def test_many_unknown_fields_are_refused() -> None:
    assert "unknown fields" in refused(None, None, **{f"field_{i}": i for i in range(65)}).message


def test_the_door_hands_on_owner_and_header() -> None:
    request = ChatDoor().parse(
        orjson.dumps({"model": "shoal", "messages": [USER]}), run="r", owner="o", exclude="host:US"
    )
    assert (request.owner, str(request.narrowing.exclude[0])) == ("o", "host:US")
