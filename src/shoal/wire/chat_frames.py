"""The frames a chat-dialect provider sends, read once into typed structs.

Knows the fields we use and every odd form they have been seen in. Knows no meaning: that is for `chat_reply` and
`chat_stream`. Strategy: a typed decoder built once takes the common shape at C speed; what it refuses, but is JSON,
is read again by hand, so that one odd field does not cost an answer.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from shoal.core.errors import Loss, UnreadableReply
from shoal.core.item import Finish, Usage

MAX_BODY_BYTES = 32 * 1024 * 1024  # a whole reply; the longest outputs known are near 1 MB
MAX_CHOICES = 64
MAX_TOOL_CALLS = 512
MAX_TOKENS = 1_000_000_000

Content = str | list[Any] | None


class Function(msgspec.Struct, gc=False):
    """A tool call's function; some send the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Call(msgspec.Struct, gc=False):
    """A tool call, or more of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct):
    """A message or a delta of one."""

    content: Content = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None


class TopToken(msgspec.Struct, gc=False):
    """One alternative token."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class Token(msgspec.Struct):
    """One token with its log-probability."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: list[TopToken] = []


class Logprobs(msgspec.Struct):
    """The log-probabilities of a choice."""

    content: list[Token] | None = None


class Details(msgspec.Struct, gc=False):
    """Counts inside counts."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    orchestration_input_tokens: int | None = None
    orchestration_output_tokens: int | None = None


class Counts(msgspec.Struct, gc=False):
    """Token counts under the names providers give them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class Option(msgspec.Struct):
    """One choice, whole (`message`) or in part (`delta`)."""

    index: int | None = None
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    usage: Counts | None = None


class Frame(msgspec.Struct):
    """One chunk of a stream, or one whole reply. `choices` is None where the field is absent."""

    id: str | None = None
    model: str | None = None
    choices: list[Option] | None = None
    usage: Counts | None = None
    system_fingerprint: str | None = None
    error: Any = None


_FRAME = msgspec.json.Decoder(Frame)


def frame_in(data: bytes) -> tuple[Frame, Any]:
    """Return the frame in `data`, and the plain JSON value where the frame says nothing usable by itself.

    Raises:
        UnreadableReply: the bytes are no JSON object.
    """
    try:
        frame = _FRAME.decode(data)
        if frame.choices and frame.error is None:
            return frame, None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        frame = None
    try:
        plain = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UnreadableReply(f"the reply is not JSON: {error}", loss=Loss.UNREADABLE) from error
    if isinstance(plain, list) and len(plain) == 1:
        plain = plain[0]
    if not isinstance(plain, dict):
        raise UnreadableReply(f"the reply is a JSON {type(plain).__name__}, not an object", loss=Loss.UNREADABLE)
    return (_by_hand(plain) if frame is None else frame), plain


def finish_word(word: str) -> Finish | None:
    """Return the canonical reason for a provider's word, None where the word means that the provider failed."""
    word = word.lower()
    if word in _FAILED:
        return None
    return _FINISHES.get(word, Finish.STOP)


_FAILED = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})
_FINISHES = {
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}


def usage_in(counts: Counts, *, extra: bool) -> Usage:
    """Return canonical usage; with `extra`, an orchestrator's inner tokens are added as it bills them."""
    came_in = counts.prompt_tokens_details or counts.input_tokens_details or Details()
    went_out = counts.completion_tokens_details or counts.output_tokens_details or Details()
    cached = came_in.cached_tokens
    if cached is None:
        cached = counts.cached_tokens if counts.prompt_cache_hit_tokens is None else counts.prompt_cache_hit_tokens
    used_in = counts.prompt_tokens if counts.prompt_tokens is not None else counts.input_tokens
    used_out = counts.completion_tokens if counts.completion_tokens is not None else counts.output_tokens
    tokens_in, tokens_out = _count(used_in), _count(used_out)
    if extra:
        tokens_in += _count(came_in.orchestration_input_tokens)
        tokens_out += _count(went_out.orchestration_output_tokens)
    thought = _count(went_out.reasoning_tokens)
    return Usage(tokens_in, max(tokens_out, thought), thought, min(_count(cached), tokens_in))


def _count(value: int | None) -> int:
    return 0 if value is None else min(max(value, 0), MAX_TOKENS)


def logprobs_in(found: Logprobs | None) -> tuple[dict[str, Any], ...]:
    """Return log-probabilities as plain values in the chat dialect's shape."""
    if found is None or not found.content:
        return ()
    return tuple(msgspec.to_builtins(found.content))


def arguments_in(function: Function | None) -> str:
    """Return a call's arguments as the JSON text they stand for."""
    if function is None or function.arguments is None:
        return ""
    if isinstance(function.arguments, str):
        return function.arguments
    try:
        return orjson.dumps(function.arguments).decode()
    except (TypeError, orjson.JSONEncodeError) as error:
        raise UnreadableReply(f"a tool call's arguments are unreadable: {error}", loss=Loss.UNREADABLE) from error


def _by_hand(plain: dict[str, Any]) -> Frame:
    """Read what is readable of a frame that is not in the common shape; a field of a wrong kind counts as absent."""
    choices = plain.get("choices")
    return Frame(
        id=_text(plain.get("id")),
        model=_text(plain.get("model")),
        choices=[_option(c) for c in choices if isinstance(c, dict)] if isinstance(choices, list) else None,
        usage=_counts(plain.get("usage")),
        system_fingerprint=_text(plain.get("system_fingerprint")),
        error=plain.get("error"),
    )


def _option(plain: dict[str, Any]) -> Option:
    return Option(
        index=_whole(plain.get("index")),
        delta=_said(plain.get("delta")),
        message=_said(plain.get("message")),
        finish_reason=_text(plain.get("finish_reason")),
        logprobs=_convert(plain.get("logprobs"), Logprobs),
        usage=_counts(plain.get("usage")),
    )


def _said(plain: Any) -> Said | None:
    if not isinstance(plain, dict):
        return None
    content, calls = plain.get("content"), plain.get("tool_calls")
    return Said(
        content=content if isinstance(content, str | list) else None,
        reasoning_content=_text(plain.get("reasoning_content")),
        reasoning=_text(plain.get("reasoning")),
        refusal=_text(plain.get("refusal")),
        tool_calls=[_call(c) for c in calls if isinstance(c, dict)] if isinstance(calls, list) else None,
    )


def _call(plain: dict[str, Any]) -> Call:
    function = plain.get("function")
    found = None
    if isinstance(function, dict):
        arguments = function.get("arguments")
        found = Function(_text(function.get("name")), arguments if isinstance(arguments, str | dict) else None)
    identity = plain.get("id")
    return Call(_whole(plain.get("index")), str(identity) if isinstance(identity, int) else _text(identity), found)


def _counts(plain: Any) -> Counts | None:
    if not isinstance(plain, dict):
        return None
    read: dict[str, Any] = {name: _whole(value) for name, value in plain.items() if not isinstance(value, dict)}
    for name, value in plain.items():
        if isinstance(value, dict):
            read[name] = {inner: _whole(count) for inner, count in value.items()}
    found: Counts | None = _convert(read, Counts)
    return found


def _convert(plain: Any, kind: type[Any]) -> Any:
    try:
        return None if plain is None else msgspec.convert(plain, kind)
    except (msgspec.ValidationError, RecursionError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_TOKENS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
