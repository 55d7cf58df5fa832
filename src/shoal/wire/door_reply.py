"""Answers as our clients read them: a whole chat completion, or its chunks.

Knows OpenAI's shapes and the `shoal` objects inside them. Knows nothing of HTTP. A stream ends with `[DONE]` only when
every choice has finished; one that is lost ends with an error event and nothing after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

import orjson

from shoal.core.errors import BudgetSpent, CallerError, NotAllowed, NothingPermitted, ShoalError, UpstreamError
from shoal.core.item import (
    Answer,
    Choice,
    Delta,
    FinishDelta,
    LogprobsDelta,
    Message,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from shoal.core.request import Request

DONE = b"data: [DONE]\n\n"
MAX_MESSAGE = 2000


class Finished(Protocol):
    """A run that is over, as far as its reply needs to know it."""

    @property
    def answer(self) -> Answer: ...
    @property
    def run(self) -> str: ...
    @property
    def usage_total(self) -> Usage: ...
    @property
    def cost_usd(self) -> Decimal | None: ...
    @property
    def usage_shoal(self) -> Mapping[str, Any]: ...
    @property
    def explain(self) -> Mapping[str, Any] | None: ...


def encode_reply(completed: Finished, request: Request, *, created: int | None = None) -> bytes:
    """Return the whole reply as OpenAI's `chat.completion`; totals include every inner call."""
    answer = completed.answer
    reply: dict[str, Any] = {
        "id": f"chatcmpl-{completed.run}",
        "object": "chat.completion",
        "created": int(time.time()) if created is None else created,
        "model": request.model,
        "choices": [_choice(choice) for choice in answer.choices],
        "usage": usage_object(completed.usage_total, completed.cost_usd, completed.usage_shoal),
    }
    if answer.fingerprint is not None:
        reply["system_fingerprint"] = answer.fingerprint
    if completed.explain is not None:
        reply["shoal"] = {"run": completed.run, "explain": completed.explain}
    return _json(reply)


def _choice(choice: Choice) -> dict[str, Any]:
    said: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in choice.items:
        if isinstance(item, Message):
            said.append(item.text)
            refusals.append(item.refusal or "")
        elif isinstance(item, Reasoning):
            thoughts.append(item.text)
        elif isinstance(item, ToolCall):
            calls.append(_call(item.call_id, item.name, item.arguments))
    text = "".join(said)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if not text and (calls or any(refusals)) else text,
        "refusal": "".join(refusals) or None,
    }
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return {
        "index": choice.index,
        "message": message,
        "logprobs": {"content": list(choice.logprobs), "refusal": None} if choice.logprobs else None,
        "finish_reason": str(choice.finish),
    }


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def usage_object(usage: Usage, cost_usd: Decimal | None, shoal: Mapping[str, Any]) -> dict[str, Any]:
    """Return token counts in OpenAI's names, and what only Shoal counts under `shoal`."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "shoal": {"cost_usd": None if cost_usd is None else f"{cost_usd:f}", **shoal},
    }


class ChatChunks:
    """Encodes one streamed reply, delta by delta."""

    __slots__ = ("_begun", "_head", "_request", "_shared", "_tail")

    def __init__(self, request: Request, *, created: int | None = None) -> None:
        self._request = request
        self._begun: set[int] = set()
        self._shared = {
            "id": f"chatcmpl-{request.run}",
            "object": "chat.completion.chunk",
            "created": int(time.time()) if created is None else created,
            "model": request.model,
        }
        # What is the same in every chunk is written once: a text delta then costs one small dump.
        self._head = b"data: " + _json(self._shared)[:-1] + b',"choices":[{"index":'
        self._tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"

    def encode(self, delta: Delta) -> bytes:
        """Return the chunk, a choice's first one behind its role chunk; empty where a delta is not for clients."""
        if isinstance(delta, TextDelta):
            return self._chunk(delta.choice, b'{"content":' + orjson.dumps(delta.text) + b"}")
        if isinstance(delta, ToolCallDelta):
            return self._chunk(delta.choice, _json({"tool_calls": [_call_delta(delta)]}))
        if isinstance(delta, ReasoningDelta):
            return self._chunk(delta.choice, b'{"reasoning_content":' + orjson.dumps(delta.text) + b"}")
        if isinstance(delta, RefusalDelta):
            return self._chunk(delta.choice, b'{"refusal":' + orjson.dumps(delta.text) + b"}")
        if isinstance(delta, LogprobsDelta):
            found = _json({"content": list(delta.content), "refusal": None})
            return self._chunk(delta.choice, b"{}", logprobs=found)
        if isinstance(delta, FinishDelta):
            return self._chunk(delta.choice, b"{}", finish=b'"' + delta.finish.encode() + b'"')
        return b""

    def finish(self, completed: Finished) -> bytes:
        """Return the end of a stream that is whole: the usage chunk where asked for, then `[DONE]`."""
        if not self._request.include_usage:
            return DONE
        usage = usage_object(completed.usage_total, completed.cost_usd, completed.usage_shoal)
        last: dict[str, Any] = {**self._shared, "choices": [], "usage": usage}
        if completed.explain is not None:
            last["shoal"] = {"run": completed.run, "explain": completed.explain}
        return b"data: " + _json(last) + b"\n\n" + DONE

    def fail(self, error: ShoalError) -> bytes:
        """Return the event that ends a stream which is lost for good; nothing may follow it."""
        return encode_error_event(error, run=self._request.run)

    def _chunk(self, choice: int, delta: bytes, *, logprobs: bytes = b"null", finish: bytes = b"null") -> bytes:
        number = b"%d" % choice
        body = (
            self._head + number + b',"delta":' + delta + b',"logprobs":' + logprobs + b',"finish_reason":' + finish
        ) + (b"}]" + self._tail)
        if choice in self._begun:
            return body
        self._begun.add(choice)
        role = b',"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]'
        return self._head + number + role + self._tail + body


def _call_delta(delta: ToolCallDelta) -> dict[str, Any]:
    if delta.call_id is None:
        return {"index": delta.index, "function": {"arguments": delta.arguments}}
    return {"index": delta.index, **_call(delta.call_id, delta.name or "", delta.arguments)}


def error_object(error: ShoalError, run: str | None = None) -> dict[str, Any]:
    """Return the value of `error`, as OpenAI clients read it, with what only Shoal knows under `shoal`."""
    shoal = dict(error.detail)
    if run is not None:
        shoal.setdefault("run", run)
    kind = "server_error"
    if isinstance(error, NotAllowed | NothingPermitted):
        kind = "permission_error"
    elif isinstance(error, BudgetSpent):
        kind = "insufficient_quota"
    elif isinstance(error, CallerError):
        kind = "invalid_request_error"
    elif isinstance(error, UpstreamError):
        kind = "upstream_error"
    found: dict[str, Any] = {
        "message": error.message[:MAX_MESSAGE],
        "type": kind,
        "param": error.param,
        "code": error.code,
    }
    return found | {"shoal": shoal} if shoal else found


def encode_error(error: ShoalError, *, run: str | None = None) -> bytes:
    """Return the body of an error reply."""
    return _json({"error": error_object(error, run)})


def encode_error_event(error: ShoalError, *, run: str | None = None) -> bytes:
    """Return an error as the last event of a stream."""
    return b"data: " + encode_error(error, run=run) + b"\n\n"


def encode_models(models: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the reply to `GET /v1/models`; every entry has at least `id` and `owned_by`."""
    data = [{"object": "model", "created": 0, **model} for model in models]
    return _json({"object": "list", "data": data})


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
