"""The chat door: one request in, one answer or one stream out.

    read the body -> parse -> answer (or stream) -> encode, while somebody watches whether the client is still there

Knows the order of things. The dialect's bytes are `Door`'s, answering is the pipeline's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shoal.core.errors import CallerError, Overloaded, ShoalError
from shoal.core.identity import new_run
from shoal.core.item import Delta
from shoal.core.request import Request
from shoal.gateway.answering import Answering, Completed, Streaming
from shoal.gateway.body import Bodies
from shoal.gateway.guard import clean
from shoal.gateway.presence import Presence
from shoal.gateway.reply import Headers, Receive, Send, note, reply, unexpected
from shoal.gateway.stream import EVENT_STREAM, Outlet

STOPPING = "this instance is stopping; ask again in a moment"


class Chunks(Protocol):
    """Encodes one stream, delta by delta; bytes may be empty where a delta says nothing to a client."""

    def encode(self, delta: Delta) -> bytes: ...
    def finish(self, completed: Completed) -> bytes: ...
    def fail(self, error: ShoalError) -> bytes: ...


class Door(Protocol):
    """The dialect our clients speak."""

    def parse(self, body: bytes, *, run: str, owner: str | None, exclude: str | None) -> Request: ...
    def encode(self, completed: Completed, request: Request) -> bytes: ...
    def chunks(self, request: Request) -> Chunks: ...


@dataclass(slots=True)
class Call:
    """One HTTP request on its way through the gateway, and what is known of its reply so far."""

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    receive: Receive
    send: Send
    owner: str | None = None
    run: str | None = None
    has_begun: bool = False
    extra: Headers = field(default_factory=list)


class Chat:
    """Serves `POST /v1/chat/completions`."""

    def __init__(
        self, answering: Answering, door: Door, bodies: Bodies, *, heartbeat_s: float = 10.0, max_in_flight: int = 1024
    ) -> None:
        self._answering = answering
        self._door = door
        self._bodies = bodies
        self._heartbeat_s = heartbeat_s
        self._max_in_flight = max_in_flight
        self.in_flight = 0

    async def __call__(self, call: Call) -> None:
        """Serve one request; errors before the first byte are raised, later ones are told in the stream."""
        call.run = new_run()
        if self.in_flight >= self._max_in_flight:
            raise Overloaded(f"{self.in_flight} requests are in flight, as many as this instance takes at once")
        self.in_flight += 1
        size = 0
        try:
            body = await self._bodies.read(call.headers, call.receive)
            size = len(body)
            call.extra.clear()
            request = self._parse(body, call)
            del body
            with Presence(call.receive) as presence:
                await (self._stream if request.stream else self._whole)(request, call, presence)
        finally:
            self.in_flight -= 1
            self._bodies.release(size)

    def _parse(self, body: bytes, call: Call) -> Request:
        assert call.run is not None
        exclude = call.headers.get(b"x-shoal-exclude")
        try:
            return self._door.parse(
                body, run=call.run, owner=call.owner, exclude=None if exclude is None else exclude.decode("utf-8")
            )
        except UnicodeDecodeError:  # read in another alphabet it would name, and so exclude, somebody else
            raise CallerError("`x-shoal-exclude` has to be UTF-8", param="x-shoal-exclude") from None
        except RecursionError:
            raise CallerError("the body is nested too deeply") from None

    async def _whole(self, request: Request, call: Call, presence: Presence) -> None:
        completed = await self._answering.answer(request)
        body = self._door.encode(completed, request)
        presence.settle()
        call.has_begun = True
        await reply(call.send, 200, body, served(completed, request))

    async def _stream(self, request: Request, call: Call, presence: Presence) -> None:
        chunks = self._door.chunks(request)
        shown: Streaming | None = None
        outlet = Outlet(call.send, lambda: EVENT_STREAM + served(shown, request), heartbeat_s=self._heartbeat_s)
        try:
            async with self._answering.stream(request) as shown:
                async for delta in shown:
                    await outlet.put(chunks.encode(delta))
                last = chunks.finish(shown.completed)
            presence.settle()
            call.has_begun = True
            await outlet.end(last)
        except BaseException as error:
            call.has_begun = outlet.has_begun
            if not outlet.has_begun or presence.is_gone:
                raise
            presence.settle()
            await outlet.end(chunks.fail(_told(error, request.run)))
        finally:
            await outlet.close()


def served(known: Completed | Streaming | None, request: Request) -> Headers:
    """Return the reply headers about a run; what is not known yet is left out."""
    headers = [(b"x-shoal-run", clean(request.run))]
    if known is not None:
        for name, value in (
            (b"x-shoal-mode", known.mode),
            (b"x-shoal-served-by", known.served_by),
            (b"x-shoal-policy", known.policy),
        ):
            if value:
                headers.append((name, clean(value)))
    return headers


def _told(error: BaseException, run: str) -> ShoalError:
    """Return what a client in mid-stream is told about an error, and log it."""
    if isinstance(error, ShoalError):
        note(error, run)
        return error
    if isinstance(error, asyncio.CancelledError):
        return Overloaded(STOPPING)
    return unexpected(error, run)
