"""Chat: what a practice model reads of a chat-completions body, and the shapes of what it writes.

Knows the OpenAI shapes and their limits. A practice model sees the text of the last user message and nothing else:
system messages and earlier turns are accepted and ignored. Without `temperature` it takes the likeliest tokens.
`top_logprobs` gives the chosen token alone, as the models keep no alternatives. Knows no socket and no weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_TOKENS = 1024
MAX_TEXT = 4000  # characters; far beyond what the models were trained on
MAX_CHOICES = 16
MAX_STOPS = 4
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Accepted because clients send them, without effect here.
_UNUSED_NUMBERS = {"top_p": (0.0, 1.0), "presence_penalty": (-2.0, 2.0), "frequency_penalty": (-2.0, 2.0)}


class BadAsk(Exception):
    """A request this model refuses, in the words of an OpenAI error."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request asks of the model."""

    text: str
    max_tokens: int = MAX_TOKENS
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    top_logprobs: int = 0


def parse(body: object, name: str) -> Ask:
    """Return what `body` asks of the model called `name`.

    Raises:
        BadAsk: the body is malformed, names another model, or wants what no practice model can do.
    """
    if not isinstance(body, dict):
        raise BadAsk("the body must be a JSON object")
    model = body.get("model")
    if not isinstance(model, str):
        raise BadAsk("you must provide a `model` parameter", param="model")
    if model != name:
        message = f"the model `{model}` does not exist here; this address serves `{name}`"
        raise BadAsk(message, param="model", code="model_not_found", status=404)
    _refuse_what_it_cannot(body)
    for key, (low, high) in _UNUSED_NUMBERS.items():
        _number(body, key, low, high, 0.0)
    stream = _flag(body, "stream")
    limits = [_whole(body, key, 1, 2**31, MAX_TOKENS) for key in ("max_completion_tokens", "max_tokens")]
    logprobs = _flag(body, "logprobs")
    top = _whole(body, "top_logprobs", 0, 20, 0)
    if top and not logprobs:
        raise BadAsk("`top_logprobs` needs `logprobs: true`", param="top_logprobs")
    seed = body.get("seed")
    return Ask(
        text=_last_user_text(body.get("messages")),
        max_tokens=min(*limits, MAX_TOKENS),
        temperature=_number(body, "temperature", 0.0, 2.0, 0.0),
        seed=None if seed is None else _whole(body, "seed", -(2**63), 2**63 - 1, 0) % 2**63,
        stop=_stops(body.get("stop")),
        n=_whole(body, "n", 1, MAX_CHOICES, 1),
        stream=stream,
        include_usage=_includes_usage(body.get("stream_options"), stream),
        logprobs=logprobs,
        top_logprobs=top,
    )


def _refuse_what_it_cannot(body: Mapping[str, Any]) -> None:
    for key in ("tools", "functions"):
        if body.get(key):
            raise BadAsk("this model cannot call tools", param=key, code="unsupported_parameter")
    wanted = body.get("response_format")
    if wanted is not None and wanted != {"type": "text"}:
        raise BadAsk("this model writes plain text only", param="response_format", code="unsupported_parameter")


def _last_user_text(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        raise BadAsk("`messages` must be a list with at least one message", param="messages")
    last: object = None
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise BadAsk(f"`messages[{i}]` must have a role out of {', '.join(ROLES)}", param=f"messages[{i}].role")
        if message["role"] == "user":
            last = message.get("content")
    if last is None:
        raise BadAsk("`messages` must have a user message with content", param="messages")
    text = _text_of(last)
    if len(text) > MAX_TEXT:
        message = f"the question has {len(text)} characters and this model reads at most {MAX_TEXT}"
        raise BadAsk(message, param="messages", code="context_length_exceeded")
    return text


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadAsk("the content of a message is a text or a list of parts", param="messages")
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise BadAsk("this model reads text parts only", param="messages", code="unsupported_content")
        texts.append(part["text"])
    return "".join(texts)


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key)
    if value is not None and type(value) is not bool:
        raise BadAsk(f"`{key}` must be true or false, found {value!r:.80}", param=key)
    return bool(value)


def _whole(body: Mapping[str, Any], key: str, low: int, high: int, default: int) -> int:
    value = body.get(key)
    if value is None:
        return default
    if type(value) is not int or not low <= value <= high:
        raise BadAsk(f"`{key}` must be a whole number from {low} to {high}, found {value!r:.80}", param=key)
    return value


def _number(body: Mapping[str, Any], key: str, low: float, high: float, default: float) -> float:
    value = body.get(key)
    if value is None:
        return default
    if type(value) not in (int, float) or not low <= value <= high:
        raise BadAsk(f"`{key}` must be a number from {low:g} to {high:g}, found {value!r:.80}", param=key)
    return float(value)


def _stops(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise BadAsk(f"`stop` must be a text or a list of at most {MAX_STOPS} texts", param="stop")
    return tuple(stops)


def _includes_usage(options: object, stream: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict) or not stream:
        raise BadAsk("`stream_options` is an object and goes with `stream: true`", param="stream_options")
    return _flag(options, "include_usage")


class StopScan:
    """Lets text through up to the first stop text, holding back what may be the beginning of one."""

    __slots__ = ("_held", "_stops", "hit")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """Take more text in, and return what may be shown now."""
        if not self._stops or self.hit:
            return "" if self.hit else text
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.hit = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max((k for stop in self._stops for k in range(1, len(stop)) if self._held.endswith(stop[:k])), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def rest(self) -> str:
        """Return what was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held


def token_entry(text: str, logprob: float | None, top: int) -> dict[str, Any]:
    """Return one token in the shape of `logprobs.content`."""
    chance = logprob if logprob is not None and math.isfinite(logprob) else -9999.0
    entry = {"token": text, "logprob": chance, "bytes": list(text.encode())}
    return {**entry, "top_logprobs": [entry] if top else []}


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Return token counts in the shape of `usage`."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completion(
    head: Mapping[str, Any], choices: Sequence[Mapping[str, Any]], counts: Mapping[str, int]
) -> dict[str, Any]:
    """Return a whole reply."""
    return {**head, "object": "chat.completion", "choices": list(choices), "usage": dict(counts)}


def chunk(
    head: Mapping[str, Any],
    index: int,
    delta: Mapping[str, Any],
    *,
    finish: str | None = None,
    logprobs: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return one event of a streamed reply."""
    shown = None if logprobs is None else {"content": list(logprobs)}
    choice = {"index": index, "delta": dict(delta), "logprobs": shown, "finish_reason": finish}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}
