"""A whole Chat Completions reply -> a canonical answer.

Knows what makes a reply an answer, and calls everything else unreadable: an empty 200 is never an empty answer. Knows
no status and no header; refusals with an error status are read by `failures`.
"""

from __future__ import annotations

from typing import Any

from shoal.core.endpoint import Endpoint
from shoal.core.errors import Loss, UnreadableReply, UpstreamError
from shoal.core.item import (
    Answer,
    Choice,
    Finish,
    Item,
    Message,
    Producer,
    Reasoning,
    Speaker,
    Text,
    ToolCall,
    Usage,
)
from shoal.wire.chat_frames import (
    MAX_BODY_BYTES,
    MAX_CHOICES,
    MAX_TOOL_CALLS,
    Frame,
    Option,
    Said,
    arguments_in,
    finish_word,
    frame_in,
    logprobs_in,
    usage_in,
)
from shoal.wire.chat_quirks import Reading
from shoal.wire.failures import complaint_in, error_of
from shoal.wire.thinking import MarkupWatch, ThinkSplitter


def answer_in(endpoint: Endpoint, body: bytes, reading: Reading) -> Answer:
    """Return the answer in a reply whose status said success.

    Raises:
        UpstreamError: the reply carries an error after all.
        UnreadableReply: it is not a chat completion, or an empty one.
    """
    if len(body) > MAX_BODY_BYTES:
        raise unreadable(endpoint, f"its reply is over {MAX_BODY_BYTES} bytes")
    if not body.strip():
        raise unreadable(endpoint, "its reply is empty")
    frame, plain = frame_in(body)
    if plain is not None:
        raise_complaint(endpoint, plain, reading)
    if not frame.choices:
        raise unreadable(endpoint, "its reply has no choices")
    if len(frame.choices) > MAX_CHOICES:
        raise unreadable(endpoint, f"its reply has {len(frame.choices)} choices")
    choices = tuple(_choice(endpoint, option, at, reading, frame) for at, option in enumerate(frame.choices))
    usage = Usage() if frame.usage is None else usage_in(frame.usage, extra=reading.extra_usage)
    return Answer(
        tuple(sorted(choices, key=lambda choice: choice.index)),
        usage,
        served_model=frame.model or endpoint.native_name,
        usage_estimated=frame.usage is None,
        fingerprint=frame.system_fingerprint,
    )


def raise_complaint(endpoint: Endpoint, plain: Any, reading: Reading) -> None:
    """Raise the error that a reply with a good status carries inside; return where it carries none."""
    complaint = complaint_in(plain)
    if complaint is None:
        return
    error = plain.get("error") if isinstance(plain, dict) else None
    status = error.get("code") if isinstance(error, dict) else None
    # OpenRouter and others repeat an HTTP status as the error's code once the 200 has left.
    known = status if isinstance(status, int) and 400 <= status < 600 else 200
    raise error_of(endpoint, known, complaint, codes=reading.codes)


def unreadable(endpoint: Endpoint, reason: str) -> UnreadableReply:
    """Return the error for a reply that is no answer."""
    return UnreadableReply(f"`{endpoint.id}` cannot be read: {reason}", loss=Loss.UNREADABLE)


def _choice(endpoint: Endpoint, option: Option, at: int, reading: Reading, frame: Frame) -> Choice:
    said = option.message or option.delta
    if said is None:
        raise unreadable(endpoint, "a choice has no message")
    producer = Producer(endpoint.id, frame.model or endpoint.native_name)
    thinking, text = read_content(said, reading)
    calls = _calls(endpoint, said, producer, f"call_{(frame.id or 'x')[:40]}_{at}")
    finish = _finish(endpoint, option.finish_reason, reading, called=bool(calls))
    if reading.watch_markup and not calls and MarkupWatch().feed(text) is True:
        raise raw_markup(endpoint)
    if said.content is None and not (thinking or calls or said.refusal or text) and finish is Finish.STOP:
        raise unreadable(endpoint, "its message is empty")
    items: list[Item] = [Reasoning(thinking, producer)] if thinking else []
    if text or said.refusal or not calls:
        parts = (Text(text),) if text or not said.refusal else ()
        items.append(Message(Speaker.ASSISTANT, parts, refusal=said.refusal or None, producer=producer))
    index = at if option.index is None or not 0 <= option.index < MAX_CHOICES else option.index
    return Choice(index, (*items, *calls), finish, logprobs_in(option.logprobs))


def read_content(said: Said, reading: Reading) -> tuple[str, str]:
    """Return the thinking and the text of one whole message or one delta (think tags in whole messages only)."""
    thinking = reasoning_of(said, reading)
    content = said.content
    if isinstance(content, list):
        more, content = flatten(content) if reading.typed_content else ("", "")
        thinking += more
    text = content or ""
    if reading.think_tags and text:
        splitter = ThinkSplitter()
        pieces = [*splitter.feed(text), *splitter.finish()]
        thinking += "".join(piece for is_thinking, piece in pieces if is_thinking)
        text = "".join(piece for is_thinking, piece in pieces if not is_thinking)
    return thinking, text


def reasoning_of(said: Said, reading: Reading) -> str:
    """Return the thinking that stands in a field of its own; the two names are aliases, never both counted."""
    if said.reasoning_content and "reasoning_content" in reading.reasoning_fields:
        return said.reasoning_content
    if said.reasoning and "reasoning" in reading.reasoning_fields:
        return said.reasoning
    return ""


def flatten(chunks: list[Any]) -> tuple[str, str]:
    """Return the thinking and the text of content that came as typed chunks."""
    thinking: list[Any] = []
    text: list[Any] = []
    for chunk in chunks:
        if isinstance(chunk, str):
            text.append(chunk)
        elif isinstance(chunk, dict) and chunk.get("type") == "thinking":
            inner = chunk.get("thinking")
            thoughts = inner if isinstance(inner, list) else [inner]
            thinking += [t.get("text", "") if isinstance(t, dict) else t for t in thoughts]
        elif isinstance(chunk, dict) and chunk.get("type", "text") in ("text", "output_text"):
            text.append(chunk.get("text", ""))
    return "".join(t for t in thinking if isinstance(t, str)), "".join(t for t in text if isinstance(t, str))


def raw_markup(endpoint: Endpoint) -> UnreadableReply:
    """Return the error for tool calls that arrive as text."""
    return unreadable(
        endpoint, "tool calls arrive as raw text; start its server with the tool-call parser of the model"
    )


def _calls(endpoint: Endpoint, said: Said, producer: Producer, stem: str) -> tuple[ToolCall, ...]:
    calls = said.tool_calls or []
    if len(calls) > MAX_TOOL_CALLS:
        raise unreadable(endpoint, f"it calls {len(calls)} tools at once")
    found: list[ToolCall] = []
    for at, call in enumerate(calls):
        if call.function is None or not call.function.name:
            raise unreadable(endpoint, "a tool call has no name")
        arguments = arguments_in(call.function) or "{}"
        found.append(ToolCall(call.id or f"{stem}_{at}", call.function.name, arguments, producer))
    return tuple(found)


def _finish(endpoint: Endpoint, word: str | None, reading: Reading, *, called: bool) -> Finish:
    finish = Finish.STOP if word is None else reading.finishes.get(word) or finish_word(word)
    if finish is None:
        raise UpstreamError(f"`{endpoint.id}` gave up in mid-answer (`{word}`)", loss=Loss.TRANSIENT)
    return Finish.TOOL_CALLS if called and finish is Finish.STOP else finish
