"""One attempt: a call that is ready goes out, and an answer or an error of ours comes back.

Knows dialect and exchange. Knows nothing of breakers, budgets or other endpoints: who may be asked was decided before,
and what a failure means is decided after.

INVARIANT: a finish reaches `emit` only after the dialect said that the stream was whole, so what breaks off can never
look finished.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from shoal.core.attempt import Emit
from shoal.core.endpoint import Endpoint, Limits
from shoal.core.errors import Loss, UnreadableReply
from shoal.core.item import (
    CONTENT,
    Answer,
    Delta,
    Finish,
    FinishDelta,
    Item,
    Message,
    Reasoning,
    Text,
    ToolCall,
    UsageDelta,
)
from shoal.core.request import Prompt
from shoal.pool.bound import Measure, estimate
from shoal.pool.collector import Collector
from shoal.pool.exchange import Exchange
from shoal.pool.transport import Transport
from shoal.wire.outgoing import Outgoing

SHORTEST_KEY = 4  # what is shorter is no key of anyone, and taking it out would only garble words


class Decoder(Protocol):
    """Reads one streamed reply."""

    @property
    def ended(self) -> bool: ...
    def feed(self, data: bytes) -> list[Delta]: ...
    def finish(self) -> list[Delta]: ...


class Dialect(Protocol):
    """What the pool needs of a wire form; `shoal.wire.dialects` has them all."""

    def encode(self, prompt: Prompt, endpoint: Endpoint, *, stream: bool, key: str | None) -> Outgoing: ...
    def decode(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> Answer: ...
    def decoder(self, endpoint: Endpoint) -> Decoder: ...


@dataclass(slots=True)
class Progress:
    """How far an attempt came, also where it failed."""

    sent: bool = False
    committed: bool = False
    refused: bool = False  # an error status: nothing was generated
    first_byte_s: float | None = None
    received: Collector = field(default_factory=Collector)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is ready to go."""

    endpoint: Endpoint
    dialect: Dialect
    outgoing: Outgoing
    limits: Limits
    size: Measure
    key: str | None = field(default=None, repr=False)


def without_key(message: str, key: str | None) -> str:
    """Return a provider's words without the key they may repeat, whatever it looks like, also where it is cut off."""
    if key is None or len(key) < SHORTEST_KEY:
        return message
    begin = re.escape(key[: max(8, len(key) // 2)])
    return re.sub(rf"{begin}[^\s`'\"<>(){{}}\[\],;]*", "***", message.replace(key, "***"))


async def make(call: Call, transport: Transport, emit: Emit | None, progress: Progress) -> Answer:
    """Send the call and return the whole answer; with `emit`, deltas go there as they come.

    Raises:
        UpstreamError: the endpoint failed; `progress.committed` says whether content had reached `emit` by then.
    """
    async with Exchange(transport, call.limits) as exchange:
        try:
            await exchange.send(call.outgoing)
            progress.refused = exchange.status >= 400
            if emit is None or exchange.status >= 400:
                body = await exchange.body()
                answer = _counted(
                    call.dialect.decode(call.endpoint, exchange.status, exchange.headers, body), call.size
                )
            else:
                answer = await _stream(call, exchange, emit, progress)
        finally:
            progress.sent = exchange.sent
            progress.first_byte_s = exchange.first_byte_s
    if emit is None and _is_hollow(answer):
        raise _hollow(call.endpoint, "the reply is an answer without anything in it")
    return answer


async def _stream(call: Call, exchange: Exchange, emit: Emit, progress: Progress) -> Answer:
    decoder = call.dialect.decoder(call.endpoint)
    before: list[Delta] = []  # who serves; goes out with the first content
    endings: list[Delta] = []  # finishes and usage; go out once the stream is known to be whole

    async def take(delta: Delta) -> None:
        progress.received.add(delta)
        if isinstance(delta, CONTENT):
            if not progress.committed:
                progress.committed = True
                for earlier in before:
                    await emit(earlier)
            await emit(delta)
        elif isinstance(delta, FinishDelta):
            endings.append(delta)
        elif not isinstance(delta, UsageDelta) and not progress.committed:
            before[:] = [delta]

    while data := await exchange.read():
        for delta in decoder.feed(data):
            await take(delta)
        if len(endings) > 1024:
            raise UnreadableReply("the stream finishes more choices than it could have", loss=Loss.UNREADABLE)
        if decoder.ended:
            break
    for delta in decoder.finish():
        await take(delta)
    answer = progress.received.answer(estimate(call.size, progress.received.characters))
    if not progress.committed and _is_hollow(answer):
        raise _hollow(call.endpoint, "the stream ended without anything in it")
    await exchange.drain()
    if not progress.committed:
        progress.committed = True
        endings[:0] = before
    for delta in endings:
        await emit(delta)
    await emit(UsageDelta(answer.usage))
    return answer


def _counted(answer: Answer, size: Measure) -> Answer:
    """Return the answer with an estimate of its usage where the endpoint gave none, or claims to have read nothing."""
    if not answer.usage_estimated and answer.usage.total:
        return answer
    written = sum(_length(item) for choice in answer.choices for item in choice.items)
    return replace(answer, usage=estimate(size, written), usage_estimated=True)


def _length(item: Item) -> int:
    match item:
        case Message():
            return len(item.text) + len(item.refusal or "")
        case Reasoning(text=text):
            return len(text)
        case ToolCall(arguments=arguments):
            return len(arguments)
        case _:
            return 0


def _is_hollow(answer: Answer) -> bool:
    """Whether an answer claims to be done and has neither content nor tokens: a broken server, not a short answer."""
    return answer.usage.output == 0 and all(
        choice.finish is Finish.STOP and not any(_says(item) for item in choice.items) for choice in answer.choices
    )


def _hollow(endpoint: Endpoint, said: str) -> UnreadableReply:
    """Return the error for an empty answer; one with a closed list of skills fails at what it was never taught.

    That is the prompt's fault: counted as the endpoint's, anybody could take it away from all by asking nonsense.
    """
    if endpoint.skills is None:
        return UnreadableReply(said, loss=Loss.UNREADABLE)
    return UnreadableReply(f"{said}; it was only taught {', '.join(sorted(endpoint.skills))}", loss=Loss.REQUEST)


def _says(item: Item) -> bool:
    return not isinstance(item, Message) or bool(item.refusal) or any(p != Text("") for p in item.parts)
