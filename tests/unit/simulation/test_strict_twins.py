"""Strict twins refuse what they say they refuse, take the rest, and are the same every time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shoal.simulation.strict.refusals import GOOD_KEY
from shoal.simulation.strict.respond import StrictReply, respond
from shoal.simulation.strict.twin import Twin, load_twins

AUTH = {"authorization": f"Bearer {GOOD_KEY}"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def twin(name: str) -> Twin:
    return load_twins()[name]


def asked(provider: str, model: str = "m", headers: dict[str, str] | None = None, **body: Any) -> StrictReply:
    body.setdefault("messages", [{"role": "user", "content": "hello"}])
    found = twin(provider)
    return respond(found, "POST", found.paths[0], headers or AUTH, orjson.dumps({"model": model, **body}))


def said(reply: StrictReply) -> Any:
    return orjson.loads(b"".join(reply.chunks))


@pytest.mark.parametrize("provider", load_twins())
def test_a_plain_question_is_answered_the_same_every_time(provider: str) -> None:
    found = twin(provider)
    headers = {name: GOOD_KEY for name in found.auth if name not in ("bearer", "none")} or AUTH
    reply = asked(provider, "plain-model", headers)
    assert reply.status == 200
    assert "You said: hello" in str(said(reply)["choices"][0]["message"]["content"])
    assert asked(provider, "plain-model", headers) == reply


@pytest.mark.parametrize(
    ("provider", "model", "body"),
    [
        ("openai", "gpt-6-astra", {"max_tokens": 5}),
        ("moonshot", "kimi-k3", {"max_completion_tokens": 5}),
        ("moonshot", "kimi-k3", {"temperature": 0.5}),
        ("moonshot", "moonshot-v1", {"temperature": 1.5}),
        ("moonshot", "moonshot-v1", {"temperature": 0.1, "n": 2}),
        ("moonshot", "kimi-k3", {"tools": [TOOL], "tool_choice": "required"}),
        ("moonshot", "kimi-k3", {"reasoning_effort": "high"}),
        ("mistral", "m", {"seed": 1}),
        ("mistral", "m", {"tools": [TOOL], "tool_choice": "required"}),
        ("mistral", "m", {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}}),
        ("deepseek", "m", {"tools": [{"type": "custom", "custom": {"name": "g"}}]}),
        ("deepseek", "m", {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
        ("deepseek", "m", {"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]}),
        ("deepseek", "m", {"thinking": {"type": "enabled", "budget_tokens": 5}}),
        ("deepseek", "m", {"messages": [{"role": "developer", "content": "x"}]}),
        ("minimax", "m", {"messages": [{"role": "assistant", "content": "x", "tool_calls": [CALL]}]}),
        ("minimax", "minimax-m3", {"thinking": {"type": "enabled"}}),
        ("zai", "m", {"response_format": {"type": "json_schema", "json_schema": {}}}),
        ("alibaba", "m", {"thinking": {"type": "enabled"}}),
        ("alibaba", "m", {"reasoning_effort": "high"}),
        ("sakana", "fugu", {"temperature": 1.0}),
        ("spark", "spark-x", {"top_p": 0.5}),
        ("groq", "m", {"reasoning_effort": None}),
        ("together", "m", {"max_tokens": 1, "max_completion_tokens": 1}),
        ("together", "m", {"enable_thinking": True}),
        ("together", "m", {"tool_choice": "auto"}),
        ("together", "m", {"tools": []}),
        ("together", "m", {"messages": []}),
        ("together", "m", {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}),
    ],
    ids=str,
)
def test_a_broken_rule_is_refused(provider: str, model: str, body: dict[str, Any]) -> None:
    assert asked(provider, model, **body).status == 400


def test_a_limit_under_the_ignored_name_does_nothing() -> None:
    reply = said(asked("volcengine-ark", max_completion_tokens=1))
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert said(asked("volcengine-ark", max_tokens=1))["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": GOOD_KEY}, {"x-api-key": GOOD_KEY}]
)
def test_only_the_right_key_in_the_right_header_is_let_in(headers: dict[str, str]) -> None:
    found = twin("openai")
    assert respond(found, "POST", found.paths[0], headers, b"{}").status == 401


def test_one_credential_is_enough_at_sarvam() -> None:
    own = {"api-subscription-key": GOOD_KEY}
    assert asked("sarvam", headers=own).status == 200
    assert asked("sarvam", headers=own | AUTH).status == 400


def test_other_paths_and_methods_and_bodies_are_refused() -> None:
    found = twin("zai")
    assert respond(found, "POST", "/v1/chat/completions", AUTH, b"{}").status == 404
    assert respond(found, "GET", found.paths[0], AUTH, b"").status == 405
    assert respond(found, "POST", found.paths[0], AUTH, b"{").status == 400


@pytest.mark.parametrize(
    ("provider", "shape"),
    [
        ("openai", {"error"}),
        ("zhipu-bigmodel", {"error"}),
        ("mistral", {"object", "message", "type", "param", "code"}),
        ("publicai", {"detail"}),
    ],
)
def test_errors_have_the_providers_shape(provider: str, shape: set[str]) -> None:
    assert said(asked(provider, messages=[{"role": "user", "content": "[down]"}])).keys() == shape


def test_a_stream_gives_the_words_of_the_whole_reply() -> None:
    reply = asked("openrouter", stream=True, stream_options={"include_usage": True})
    events = b"".join(reply.chunks).decode().split("\r\n\r\n")
    assert events[0].startswith(":") and events[-2] == "data: [DONE]"
    frames = [orjson.loads(event[6:]) for event in events[1:-2]]
    text = "".join(c["delta"].get("content") or "" for frame in frames for c in frame["choices"])
    assert text == "You said: hello"
    assert frames[-1]["choices"] == [] and frames[-1]["usage"]["total_tokens"] > 0


def test_a_rule_file_outside_the_vocabulary_is_an_error() -> None:
    import msgspec

    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(b'id = "x"\npaths = []\nmagic = 1\n', type=Twin)
