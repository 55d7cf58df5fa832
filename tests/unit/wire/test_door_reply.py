"""Answers in the shape OpenAI clients read."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import orjson

from shoal.core.errors import BudgetSpent, CallerError, NothingPermitted, StreamLost
from shoal.core.item import (
    Answer,
    Choice,
    Delta,
    Finish,
    FinishDelta,
    Item,
    LogprobsDelta,
    Message,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    ServedDelta,
    Speaker,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageDelta,
    say,
)
from shoal.core.request import Prompt, Request
from shoal.wire.door_reply import ChatChunks, encode_error, encode_models, encode_reply


@dataclass(frozen=True, slots=True)
class Completed:
    answer: Answer
    run: str = "run_x"
    usage_total: Usage = Usage(10, 5, 2, 1)
    cost_usd: Decimal | None = Decimal("0.00001")
    usage_shoal: MappingProxyType[str, Any] = field(default_factory=lambda: MappingProxyType({"calls": 2}))
    explain: MappingProxyType[str, Any] | None = None


def request(include_usage: bool = False) -> Request:
    return Request("run_x", "shoal", Prompt((say("q"),)), stream=True, include_usage=include_usage)


def completed(*items: Item, finish: Finish = Finish.STOP, **more: Any) -> Completed:
    return Completed(Answer((Choice(0, items, finish),), Usage()), **more)


def reply(*items: Item, finish: Finish = Finish.STOP, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(encode_reply(completed(*items, finish=finish, **more), request(), created=1))
    return found


def streamed(*deltas: Delta, include_usage: bool = False) -> list[Any]:
    chunks = ChatChunks(request(include_usage), created=1)
    data = b"".join(chunks.encode(delta) for delta in deltas) + chunks.finish(completed(say("a", Speaker.ASSISTANT)))
    events = data.decode().split("\n\n")
    assert events.pop() == ""
    assert events.pop() == "data: [DONE]"
    return [orjson.loads(event.removeprefix("data: ")) for event in events]


def test_a_whole_reply() -> None:
    found = reply(Reasoning("hm"), say("hi", Speaker.ASSISTANT))
    assert found == {
        "id": "chatcmpl-run_x",
        "object": "chat.completion",
        "created": 1,
        "model": "shoal",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None, "reasoning_content": "hm"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
            "shoal": {"cost_usd": "0.00001", "calls": 2},
        },
    }


def test_calls_and_refusals_leave_content_null() -> None:
    message = reply(ToolCall("c", "f", "{}"), finish=Finish.TOOL_CALLS)["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    refusal = reply(Message(Speaker.ASSISTANT, (), refusal="no"))["choices"][0]["message"]
    assert (refusal["content"], refusal["refusal"]) == (None, "no")


def test_an_explanation_stands_beside_the_answer() -> None:
    assert reply(say("a", Speaker.ASSISTANT), explain={"why": Decimal("1.50")})["shoal"]["explain"] == {"why": "1.50"}


def test_a_stream_begins_with_a_role_and_ends_with_a_finish() -> None:
    first, text, end = streamed(ServedDelta("m"), TextDelta('a"\u2028'), UsageDelta(Usage()), FinishDelta(Finish.STOP))
    assert first["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "", "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    ]
    assert text["choices"][0]["delta"] == {"content": 'a"\u2028'}
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "stop")
    assert all("usage" not in event and event["object"] == "chat.completion.chunk" for event in (first, text, end))


def test_usage_comes_last_with_no_choices_and_is_null_before() -> None:
    *chunks, last = streamed(TextDelta("a"), FinishDelta(Finish.STOP), include_usage=True)
    assert last["choices"] == [] and last["usage"]["total_tokens"] == 15
    assert all(event["usage"] is None for event in chunks)


def test_every_kind_of_delta_has_its_place() -> None:
    events = streamed(
        ReasoningDelta("hm"),
        RefusalDelta("no"),
        ToolCallDelta(0, "c", "f", "{"),
        ToolCallDelta(0, arguments="}"),
        LogprobsDelta(({"token": "a", "logprob": -1.0},)),
        TextDelta("b", 1),
    )
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[1:5] == [
        {"reasoning_content": "hm"},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
    ]
    assert events[5]["choices"][0]["logprobs"]["content"] == [{"token": "a", "logprob": -1.0}]
    assert deltas[6]["role"] == "assistant" and events[6]["choices"][0]["index"] == 1


def test_a_lost_stream_ends_in_an_error_and_nothing_else() -> None:
    data = ChatChunks(request()).fail(StreamLost("lost `a/b`"))
    assert data.startswith(b'data: {"error":') and data.count(b"data:") == 1
    assert orjson.loads(data[6:])["error"] == {
        "message": "lost `a/b`",
        "type": "upstream_error",
        "param": None,
        "code": "stream_lost",
        "shoal": {"run": "run_x"},
    }


def test_errors_say_whose_fault_they_are() -> None:
    wrong = orjson.loads(encode_error(CallerError("`n` is wrong", param="n")))["error"]
    assert wrong == {
        "message": "`n` is wrong",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_request",
    }
    detail = {"run": "run_y", "candidates": [{"endpoint": "a/b", "rules": ("r",)}]}
    forbidden = orjson.loads(encode_error(NothingPermitted("no", detail=detail), run="run_x"))["error"]
    assert (forbidden["type"], forbidden["shoal"]["run"]) == ("permission_error", "run_y")
    spent = orjson.loads(encode_error(BudgetSpent("no", detail={"left_usd": Decimal("0.10")})))["error"]
    assert spent["shoal"] == {"left_usd": "0.10"}


def test_models_are_a_list() -> None:
    found = orjson.loads(encode_models([{"id": "shoal", "owned_by": "shoal"}]))
    assert found == {"object": "list", "data": [{"object": "model", "created": 0, "id": "shoal", "owned_by": "shoal"}]}
