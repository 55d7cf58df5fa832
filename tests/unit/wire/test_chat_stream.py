"""Streams: how they end, and what providers do to them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import Loss, UnreadableReply, UpstreamError
from shoal.core.item import (
    Delta,
    Finish,
    FinishDelta,
    ReasoningDelta,
    RefusalDelta,
    ServedDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageDelta,
)
from shoal.wire.openai_chat import OpenAIChat

DONE = b"data: [DONE]\n\n"


def endpoint(*quirks: str) -> Endpoint:
    return Endpoint("acme/big", "acme", "big", Model("a/big", "a"), "https://x.test/v1", quirks=frozenset(quirks))


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: Any = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"choices": [choice], **more}) + b"\n\n"


def decoded(*pieces: bytes, quirks: tuple[str, ...] = ()) -> list[Delta]:
    decoder = OpenAIChat().decoder(endpoint(*quirks))
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return deltas + decoder.finish()


def failure(*pieces: bytes, quirks: tuple[str, ...] = ()) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        decoded(*pieces, quirks=quirks)
    return caught.value


def test_a_stream_says_who_answers_what_and_why_it_ended() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert decoded(
        chunk({"role": "assistant", "content": ""}, id="r", model="big-1", system_fingerprint="fp"),
        chunk({"content": "he"}),
        chunk({"content": None, "tool_calls": None}),
        chunk({"content": "y"}),
        chunk({}, "stop"),
        b"data: " + orjson.dumps({"choices": [], "usage": usage}) + b"\n\n",
        DONE,
    ) == [
        ServedDelta("big-1", "fp"),
        TextDelta("he"),
        TextDelta("y"),
        FinishDelta(Finish.STOP),
        UsageDelta(Usage(1, 2)),
    ]


def test_done_may_be_missing_where_the_finish_was_seen() -> None:
    assert decoded(chunk({"content": "a"}), chunk(None, "length"))[-1] == FinishDelta(Finish.LENGTH)


def test_usage_on_the_finish_chunk_or_its_choice_is_read_once() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    for last in (
        chunk({}, "stop", usage=usage),
        b"data: "
        + orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]})
        + b"\n\n",
    ):
        found = [d for d in decoded(chunk({"content": "a"}, usage=None), last, last, DONE) if isinstance(d, UsageDelta)]
        assert found == [UsageDelta(Usage(3, 1))]


@pytest.mark.parametrize(
    "pieces",
    [
        (chunk({"content": "a"}),),
        (chunk({"content": "a"}), b'data: {"choices": [{"index": 0, "del'),
        (),
        (b": only a comment\n\n",),
        (DONE,),
        (chunk({"content": "a"}), DONE),
        (chunk({"content": "a"}, "stop"), chunk({"content": "b"}, None, 1), DONE),
    ],
)
def test_a_stream_that_did_not_finish_is_lost(pieces: tuple[bytes, ...]) -> None:
    assert failure(*pieces).loss is Loss.TRANSIENT


@pytest.mark.parametrize(
    "bad",
    [b"data: {garbage\n\n", b"data: 7\n\n", b"data: \xff\n\n", b"data: " + b"[" * 5000 + b"\n\n", chunk({}, None, 99)],
)
def test_garbage_in_a_stream_is_unreadable(bad: bytes) -> None:
    assert isinstance(failure(chunk({"content": "a"}), bad), UnreadableReply)


@pytest.mark.parametrize(
    ("event", "loss"),
    [
        (b'data: {"error": {"message": "overloaded", "code": 503}}\n\n', Loss.TRANSIENT),
        (b'data: {"error": {"message": "slow down", "code": 429}}\n\n', Loss.SCARCE),
        (b'event: error\ndata: {"what": "broke"}\n\n', Loss.TRANSIENT),
        (b'data: {"error": {"message": "x", "type": "insufficient_quota"}, "choices": []}\n\n', Loss.SCARCE),
        (chunk({"content": ""}, "error"), Loss.TRANSIENT),
    ],
)
def test_an_error_in_a_stream_is_an_error(event: bytes, loss: Loss) -> None:
    assert failure(chunk({"content": "a"}), event, DONE).loss is loss


def test_what_was_said_before_an_error_in_the_same_bytes_is_not_lost() -> None:
    decoder = OpenAIChat().decoder(endpoint())
    assert decoder.feed(chunk({"content": "a"}) + b"data: {garbage\n\n") == [TextDelta("a")]
    assert decoder.ended
    with pytest.raises(UnreadableReply):
        decoder.feed(b"")
    with pytest.raises(UnreadableReply):
        decoder.finish()


def test_nothing_is_read_after_done() -> None:
    assert decoded(chunk({"content": "a"}, "stop"), DONE + b"data: {garbage\n\n", b"more")[-1] == FinishDelta(
        Finish.STOP
    )


def test_thinking_is_apart_under_either_name() -> None:
    for name in ("reasoning_content", "reasoning"):
        found = decoded(chunk({name: "hm", "content": None}), chunk({"content": "a"}, "stop"))
        assert found[:2] == [ReasoningDelta("hm"), TextDelta("a")]


def test_think_tags_are_found_across_chunks() -> None:
    pieces = ("<th", "ink>h", "m</", "think>\n\n", "a < b", " <thin", "g>")
    found = decoded(*(chunk({"content": p}) for p in pieces), chunk({}, "stop"), quirks=("think_tags_in_content",))
    assert "".join(d.text for d in found if isinstance(d, ReasoningDelta)) == "hm"
    assert "".join(d.text for d in found if isinstance(d, TextDelta)) == "a < b <thing>"


def test_typed_chunks_stream_too() -> None:
    thinking = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}
    found = decoded(chunk(thinking), chunk({"content": [{"type": "text", "text": "a"}]}, "stop"))
    assert found[:2] == [ReasoningDelta("hm"), TextDelta("a")]


def test_tool_calls_are_numbered_without_gaps() -> None:
    def call(index: int | None, identity: str | None = None, name: str | None = None, text: str = "") -> bytes:
        return chunk({"tool_calls": [{"index": index, "id": identity, "function": {"name": name, "arguments": text}}]})

    found = decoded(
        call(3, "a", "f"), call(3, None, None, "{"), call(7, "b", "g", "{}"), call(3, "a", "f", "}"), chunk({}, "stop")
    )
    assert found == [
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(0, arguments="{"),
        ToolCallDelta(1, "b", "g", "{}"),
        ToolCallDelta(0, arguments="}"),
        FinishDelta(Finish.TOOL_CALLS),
    ]


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    def call(identity: str | None, name: str | None, text: str) -> bytes:
        return chunk({"tool_calls": [{"id": identity, "function": {"name": name, "arguments": text}}]})

    found = decoded(
        call("a", "f", "{"), call(None, None, "}"), call("b", "g", "{"), call("b", None, "}"), chunk({}, "stop")
    )
    assert [(d.index, d.arguments) for d in found if isinstance(d, ToolCallDelta)] == [
        (0, "{"),
        (0, "}"),
        (1, "{"),
        (1, "}"),
    ]


def test_a_call_without_an_id_is_given_one_and_without_a_name_is_unreadable() -> None:
    found = decoded(chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}, "tool_calls", id="r", model="m"))
    call = next(d for d in found if isinstance(d, ToolCallDelta))
    assert call.call_id and call.name == "f"
    assert isinstance(failure(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})), UnreadableReply)


def test_choices_are_kept_apart_and_refusals_are_their_own() -> None:
    found = decoded(
        chunk({"content": "a"}), chunk({"refusal": "no"}, None, 1), chunk({}, "stop", 1), chunk({}, "stop"), DONE
    )
    assert found[:2] == [TextDelta("a"), RefusalDelta("no", 1)]


def test_odd_fields_cost_no_answer() -> None:
    odd = {"choices": [{"index": "0", "delta": {"content": "a", "refusal": 7}, "finish_reason": None}], "model": 7}
    found = decoded(b"data: " + orjson.dumps(odd) + b"\n\n", chunk({"content": 5}, "stop"))
    assert found == [TextDelta("a"), FinishDelta(Finish.STOP)]


def test_raw_markup_in_a_stream_is_noticed_before_anything_is_said() -> None:
    pieces = [chunk({"content": p}) for p in ("\n", "<tool", "_call>", "{}")]
    assert isinstance(failure(*pieces, quirks=("tool_markup_in_text",)), UnreadableReply)
    plain = decoded(
        chunk({"content": "<to"}), chunk({"content": "p>"}), chunk({}, "stop"), quirks=("tool_markup_in_text",)
    )
    assert "".join(d.text for d in plain if isinstance(d, TextDelta)) == "<top>"


def test_a_whole_answer_instead_of_a_stream_is_an_answer() -> None:
    message = {"content": "a", "reasoning": "hm", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = b"\n " + orjson.dumps({"model": "m", "choices": [choice], "usage": usage})
    assert decoded(*(body[at : at + 1] for at in range(len(body)))) == [
        ServedDelta("m"),
        ReasoningDelta("hm"),
        TextDelta("a"),
        ToolCallDelta(0, "c", "f", "{}"),
        FinishDelta(Finish.TOOL_CALLS),
        UsageDelta(Usage(1, 1)),
    ]


@pytest.mark.parametrize(
    ("body", "loss"),
    [
        (b'{"error": {"message": "slow down", "code": 429}}', Loss.SCARCE),
        (b'[{"error": {"message": "no", "type": "invalid_request_error"}}]', Loss.REQUEST),
        (b'{"choices": [{"mess', Loss.UNREADABLE),
        (b"<html>bad gateway</html>", Loss.UNREADABLE),
        (b"plain words", Loss.TRANSIENT),
    ],
)
def test_an_error_instead_of_a_stream_is_that_error(body: bytes, loss: Loss) -> None:
    assert failure(body[:5], body[5:]).loss is loss


def test_an_endless_event_is_cut_off() -> None:
    decoder = OpenAIChat().decoder(endpoint())
    with pytest.raises(UnreadableReply):
        for _ in range(100):
            decoder.feed(b"data: " + b"x" * 100_000)
