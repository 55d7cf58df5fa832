"""Laws of streams: how the network cuts the bytes changes nothing, and no bytes at all break the decoder."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import UpstreamError
from shoal.core.item import (
    Delta,
    FinishDelta,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)
from shoal.wire.openai_chat import OpenAIChat
from shoal.wire.sse import EventParser
from shoal.wire.thinking import ThinkSplitter

DIALECT = OpenAIChat()
QUIRKS = [frozenset[str](), frozenset({"think_tags_in_content"}), frozenset({"tool_markup_in_text"})]
WORDS = st.sampled_from(
    [
        "a",
        "서울 ",
        "😀",
        "<think>",
        "</think>",
        "<thi",
        "nk>",
        "\n",
        " ",
        "<tool_call>",
        "<tool",
        "é",
        '"',
        "\\",
        "\u2028",
    ]
)
TEXT = st.lists(WORDS, max_size=6).map("".join)


def endpoint(quirks: frozenset[str]) -> Endpoint:
    return Endpoint("a/b", "a", "b", Model("a/b", "a"), "https://x.test/v1", quirks=quirks)


def _call(index: int | None, identity: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    call: dict[str, Any] = {"id": identity, "function": {"name": name, "arguments": arguments}}
    return call if index is None else {"index": index, **call}


CALLS = st.builds(_call, st.sampled_from([None, 0, 1, 5]), st.sampled_from([None, "x", "y"]), st.just("f"), TEXT)
DELTAS = st.one_of(
    st.none(),
    TEXT.map(lambda text: {"content": text}),
    TEXT.map(lambda text: {"reasoning_content": text, "content": None}),
    TEXT.map(lambda text: {"reasoning": text}),
    TEXT.map(lambda text: {"refusal": text}),
    TEXT.map(lambda text: {"content": [{"type": "text", "text": text}]}),
    st.lists(CALLS, max_size=2).map(lambda calls: {"tool_calls": calls}),
)
FRAMES = st.one_of(
    st.builds(
        lambda delta, finish, index: {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]},
        DELTAS,
        st.sampled_from([None, None, None, "stop", "length", "tool_calls", "error"]),
        st.sampled_from([0, 0, 0, 1]),
    ),
    st.just({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
    st.just({"error": {"message": "broke", "code": 500}}),
)
END = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A stream as a provider might send it, now and then a broken one."""
    end = draw(END)
    events = [b"data: " + orjson.dumps(frame) for frame in draw(st.lists(FRAMES, max_size=8))]
    if draw(st.booleans()):
        events.insert(0, b": comment")
    if draw(st.booleans()):
        events.append(b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}')
    if draw(st.booleans()):
        events.append(b"data: [DONE]")
    data = b"".join(event + end + end for event in events)
    return data[: len(data) - draw(st.integers(0, 6))]


def outcome(data: bytes, quirks: frozenset[str], cuts: list[int]) -> tuple[list[Delta], str | None]:
    """Return what a stream gives when it is cut at these places, and the error it ends in."""
    decoder = DIALECT.decoder(endpoint(quirks))
    deltas: list[Delta] = []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, end in zip(places, places[1:], strict=False):
            deltas += decoder.feed(data[start:end])
        deltas += decoder.finish()
    except UpstreamError as error:
        return deltas, str(error)
    return deltas, None


def message(deltas: list[Delta]) -> dict[Any, Any]:
    """Return what the deltas add up to; pieces of one text may be cut differently."""
    found: dict[Any, Any] = {}
    for delta in deltas:
        if isinstance(delta, TextDelta | ReasoningDelta | RefusalDelta):
            key: Any = (type(delta).__name__, delta.choice)
            found[key] = found.get(key, "") + delta.text
        elif isinstance(delta, ToolCallDelta):
            key = ("call", delta.choice, delta.index)
            identity, name, arguments = found.get(key, (delta.call_id, delta.name, ""))
            found[key] = (identity, name, arguments + delta.arguments)
        elif isinstance(delta, FinishDelta | LogprobsDelta):
            found[type(delta).__name__, delta.choice] = delta
        elif isinstance(delta, UsageDelta):
            found["usage"] = delta.usage
    return found


@settings(max_examples=150, deadline=None)
@given(streams(), st.sampled_from(QUIRKS), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_of_a_stream_gives_the_same_deltas(data: bytes, quirks: frozenset[str], cuts: list[int]) -> None:
    whole, error = outcome(data, quirks, [])
    assert outcome(data, quirks, cuts) == (whole, error)
    assert outcome(data, quirks, list(range(len(data)))) == (whole, error)


@settings(max_examples=100, deadline=None)
@given(TEXT, st.lists(st.integers(0, 100), max_size=8), st.sampled_from(QUIRKS))
def test_however_a_provider_cuts_its_text_the_message_is_the_same(
    text: str, cuts: list[int], quirks: frozenset[str]
) -> None:
    def stream(pieces: list[str]) -> bytes:
        frames = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        frames.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        return b"".join(b"data: " + orjson.dumps(frame) + b"\n\n" for frame in frames)

    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    cut = [text[start:end] for start, end in zip(places, places[1:], strict=False)]
    whole, whole_error = outcome(stream([text]), quirks, [])
    pieces, pieces_error = outcome(stream(cut), quirks, [])
    assert whole_error == pieces_error
    if whole_error is None:
        assert message(whole) == message(pieces)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([b"data: ", b"\n\n", b"\r", b"{", b"[DONE]"])), max_size=12
    )
)
def test_no_bytes_break_the_decoder(pieces: list[bytes]) -> None:
    deltas, error = outcome(b"".join(pieces), QUIRKS[0], [])
    assert error is not None or any(isinstance(delta, FinishDelta) for delta in deltas)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "choices message delta content tool_calls function arguments name index usage error code "
                "finish_reason logprobs prompt_tokens_details cached_tokens id model".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=250, deadline=None)
@given(JSON_VALUES)
def test_any_json_is_an_answer_or_an_upstream_error(value: Any) -> None:
    data = orjson.dumps(value)
    try:
        answer = DIALECT.decode(endpoint(QUIRKS[1]), 200, {}, data)
        assert answer.choices
    except UpstreamError:
        pass
    outcome(b"data: " + data + b"\n\ndata: [DONE]\n\n", QUIRKS[0], [])


@settings(max_examples=100, deadline=None)
@given(
    st.integers(300, 599), JSON_VALUES, st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text(max_size=30))
)
def test_any_refusal_has_a_class(status: int, value: Any, headers: dict[str, str]) -> None:
    try:
        DIALECT.decode(endpoint(QUIRKS[0]), status, headers, orjson.dumps(value))
    except UpstreamError as error:
        assert error.upstream_status == status
        assert error.message.isprintable()
        assert error.retry_after_s is None or 0 <= error.retry_after_s <= 86_400
    else:
        raise AssertionError("a refusal became an answer")


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_a_splitter_loses_nothing_but_tags_and_the_space_beside_them(text: str) -> None:
    splitter = ThinkSplitter()
    said = "".join(piece for _, piece in [*splitter.feed(text), *splitter.finish()])
    plain = text.replace("<think>", "").replace("</think>", "")
    if "<think>" not in text and "</think>" not in text:
        assert said == plain.lstrip()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=10))
def test_events_never_hold_a_line_end_they_were_split_at(pieces: list[bytes]) -> None:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish()
    assert all(b"\r" not in event.data for event in events)
