"""One call to a twin: bytes in, status, headers and chunks out. Pure: the same call always gets the same reply.

Knows HTTP paths and the order of checks (route, caller, JSON, rules, then the answer). The chunks of a stream come one
event each; who serves them over a socket decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shoal.simulation.strict.mind import Counts, Thought, count, last_words, think
from shoal.simulation.strict.refusals import Refusal, asked_for, refusal_by_body, refusal_by_headers, shaped
from shoal.simulation.strict.twin import Twin

UNKNOWN_MODEL = "no-such-model"
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


@dataclass(frozen=True, slots=True)
class StrictReply:
    """A twin's reply; `cut` says that the connection breaks instead of ending."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[bytes, ...]
    cut: bool = False


def respond(twin: Twin, method: str, path: str, headers: Mapping[str, str], body: bytes) -> StrictReply:
    """Return what the provider would reply; header names are in lower case."""
    if path not in twin.paths:
        return StrictReply(404, (("content-type", "text/html"),), (b"<html><h1>404 page not found</h1></html>",))
    if method != "POST":
        return _refuse(twin, Refusal(405, "method_not_allowed", "use POST"))
    refusal = refusal_by_headers(twin, headers)
    if refusal is not None:
        return _refuse(twin, refusal)
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _refuse(twin, Refusal(400, "invalid_request_error", f"the body is not JSON: {error}"))
    refusal = refusal_by_body(twin, asked)
    if refusal is None and asked.get("model") == UNKNOWN_MODEL:
        refusal = Refusal(404, "model_not_found", f"The model `{UNKNOWN_MODEL}` does not exist")
    refusal = refusal or asked_for(twin, asked)
    if refusal is not None:
        return _refuse(twin, refusal)
    return _stream(twin, asked) if asked.get("stream") else _whole(twin, asked)


def _refuse(twin: Twin, refusal: Refusal) -> StrictReply:
    return StrictReply(refusal.status, JSON + refusal.headers, (shaped(twin, refusal),))


def _whole(twin: Twin, body: dict[str, Any]) -> StrictReply:
    said = last_words(body)
    if "[garbage]" in said:
        return StrictReply(200, JSON, (b'{"choices": [{"index": 0, "mess',))
    if "[empty]" in said:
        return StrictReply(200, JSON, (b"",))
    thoughts = [think(twin, body)] * body.get("n", 1)
    choices = [
        {"index": at, "message": _message(twin, body, thought), "finish_reason": thought.finish, "logprobs": None}
        for at, thought in enumerate(thoughts)
    ]
    reply = {
        "id": "chatcmpl-twin",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": body["model"],
        "choices": choices,
        "usage": _usage(twin, count(twin, body, thoughts)),
    }
    data = orjson.dumps(reply)
    return StrictReply(200, JSON, (data[: len(data) // 2],), cut=True) if "[cut]" in said else _ok(data)


def _ok(data: bytes) -> StrictReply:
    return StrictReply(200, JSON, (data,))


def _out(twin: Twin, body: dict[str, Any]) -> str:
    return twin.rules_for(body["model"]).reasoning_out or twin.reasoning_out


def _message(twin: Twin, body: dict[str, Any], thought: Thought) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": thought.text}
    if thought.reasoning:
        out = _out(twin, body)
        if out == "think_tags":
            message["content"] = f"<think>\n{thought.reasoning}\n</think>\n\n{thought.text}"
        elif out == "typed":
            typed = [{"type": "thinking", "thinking": [{"type": "text", "text": thought.reasoning}]}]
            message["content"] = [*typed, {"type": "text", "text": thought.text}]
        else:
            message[out] = thought.reasoning
    if not thought.calls:
        return message
    if _is_raw(twin, body):
        raw = [f'<tool_call>\n{{"name": "{name}", "arguments": {args}}}\n</tool_call>' for name, args in thought.calls]
        message["content"] = "\n".join(raw)
    else:
        message["tool_calls"] = [_call(at, *call) for at, call in enumerate(thought.calls)]
        message["content"] = message["content"] or None
    return message


def _is_raw(twin: Twin, body: dict[str, Any]) -> bool:
    """Whether this local server was started without the tool-call parser of its model."""
    return not twin.parser and "[no parser]" in last_words(body)


def _call(at: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{at}_twin", "type": "function", "function": {"name": name, "arguments": arguments}}


def _usage(twin: Twin, counts: Counts) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cached},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
    }
    if twin.inner_usage:
        usage["prompt_tokens_details"]["orchestration_input_tokens"] = 100
        usage["completion_tokens_details"]["orchestration_output_tokens"] = 50
        usage["total_tokens"] += 150
    return usage


def _stream(twin: Twin, body: dict[str, Any]) -> StrictReply:
    said = last_words(body)
    thoughts = [think(twin, body)] * body.get("n", 1)
    frames: list[dict[str, Any]] = []
    for at, thought in enumerate(thoughts):
        frames += [_frame(body, at, delta) for delta in _deltas(twin, body, thought)]
    if "[cut]" in said:
        return StrictReply(200, EVENTS, _events(twin, frames[: max(2, len(frames) // 2)], done=False), cut=True)
    if "[garbage]" in said:
        return StrictReply(200, EVENTS, (*_events(twin, frames[:2], done=False), b"data: {garbage\n\n"))
    if "[empty]" in said:
        return StrictReply(200, EVENTS, (b"data: [DONE]\n\n",))
    if "[late error]" in said:
        refusal = shaped(twin, Refusal(500, "server_error", "The server had an error"))
        late = refusal[1:-1] if refusal.startswith(b"[") else refusal
        return StrictReply(200, EVENTS, (*_events(twin, frames[:2], done=False), b"data: " + late + b"\n\n"))
    for at, thought in enumerate(thoughts):
        frames.append(_frame(body, at, {}, thought.finish))
    usage = _usage(twin, count(twin, body, thoughts))
    if twin.usage_at == "finish":
        frames[-1]["usage"] = usage
    elif twin.usage_at == "choice":
        frames[-1]["choices"][0]["usage"] = usage
    elif body.get("stream_options", {}).get("include_usage"):
        frames.append({**_frame(body, 0, {}), "choices": [], "usage": usage})
    return StrictReply(200, EVENTS, _events(twin, frames, done=twin.done))


def _frame(body: dict[str, Any], at: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-twin",
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": body["model"],
        "choices": [{"index": at, "delta": delta, "finish_reason": finish, "logprobs": None}],
    }


def _deltas(twin: Twin, body: dict[str, Any], thought: Thought) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    text = thought.text
    out = _out(twin, body)
    if thought.reasoning and out == "think_tags":
        text = f"<think>\n{thought.reasoning}\n</think>\n\n{text}"
    elif thought.reasoning and out == "typed":
        for piece in _pieces(thought.reasoning):
            deltas.append({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]})
    elif thought.reasoning:
        deltas += [{out: piece, "content": None} for piece in _pieces(thought.reasoning)]
    if thought.calls and _is_raw(twin, body):
        text = _message(twin, body, thought)["content"]
    deltas += [{"content": piece} for piece in _pieces(text)]
    if thought.calls and not _is_raw(twin, body):
        for at, (name, arguments) in enumerate(thought.calls):
            deltas.append({"tool_calls": [{"index": at, **_call(at, name, "")}]})
            for piece in _pieces(arguments):
                deltas.append({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
    return deltas


def _pieces(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]


def _events(twin: Twin, frames: list[dict[str, Any]], *, done: bool) -> tuple[bytes, ...]:
    end = b"\r\n" if twin.line_end == "crlf" else b"\n"
    events = [b"data: " + orjson.dumps(frame) + end + end for frame in frames]
    if twin.comments:
        events.insert(0, b": PROCESSING" + end + end)
    if done:
        events.append(b"data: [DONE]" + end + end)
    return tuple(events)
