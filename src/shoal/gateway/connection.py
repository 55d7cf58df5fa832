"""One client connection: uvicorn's protocol with the bounds it lacks.

Knows sockets, time and bytes; nothing of paths or answers. What is added:

- headers and body must each be complete in time, else the connection is closed (408 where something had arrived);
- headers are bounded in bytes and number, connections in number;
- a reply that ends before its request was read (413) is followed by a short drain, so that the client sees the reply
  and not a reset;
- a client that does not read is cut off after a while;
- errors before the application is reached have OpenAI's shape too.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from shoal.core.errors import CallerError, HeadTooLarge, Overloaded, ShoalError, TooSlow
from shoal.gateway.reply import error_headers
from shoal.wire.door_reply import error_object


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection, and all of them together, may take."""

    headers_s: float = 10.0
    body_s: float = 10.0  # and a second more for every `body_bytes_per_s` that have come
    body_bytes_per_s: int = 64 * 1024
    keep_alive_s: float = 30.0
    write_s: float = 30.0
    drain_s: float = 2.0
    drain_bytes: int = 16 * 1024 * 1024
    header_bytes: int = 32 * 1024
    header_count: int = 100
    connections: int = 4096
    backlog: int = 1024
    stop_s: float = 3.0


def _whole(error: ShoalError) -> bytes:
    """Return a complete reply that ends the connection."""
    body = orjson.dumps({"error": error_object(error)})
    lines = [STATUS_LINE[error.status], b"content-type: application/json\r\nconnection: close\r\n"]
    lines += [name + b": " + value + b"\r\n" for name, value in error_headers(error)]
    return b"".join([*lines, b"content-length: %d\r\n\r\n" % len(body), body])


_UPGRADE = re.compile(rb"(^|\n)upgrade:", re.IGNORECASE)
MALFORMED = _whole(CallerError("this is not HTTP/1.1 as Shoal reads it; check method, path and headers"))
HEAD_TOO_LARGE = _whole(HeadTooLarge("the headers are too large or too many"))
HEADERS_LATE = _whole(TooSlow("the headers were not complete in time"))
BODY_LATE = _whole(TooSlow("the body was not complete in time"))
FULL = _whole(Overloaded("too many connections; try again shortly"))


def _without_upgrade(data: bytes) -> bytes:
    """Return the bytes with an offered upgrade made unreadable: the parser would take the body for the new protocol."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(rb"\1x-offer:", head) + end + rest


class Lingering:
    """The transport as uvicorn's cycle sees it: closing before the request is read becomes a short drain."""

    __slots__ = ("_connection", "_transport")

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether no further request is taken."""
        return self._connection.is_draining or self._transport.is_closing()

    def close(self) -> None:
        """Close, after what was written has left."""
        self._connection.leave(self._transport)


class Connection(HttpToolsProtocol):
    """One connection within `bounds`; a subclass made by `bounded` sets them."""

    bounds = Bounds()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.is_draining = False
        self._clock: asyncio.TimerHandle | None = None  # runs while a request is incomplete, or while draining
        self._stall: asyncio.TimerHandle | None = None  # runs while the client does not read
        self._in_headers = True
        self._in_body = False
        self._head_size = 0
        self._body_size = 0
        self._body_since = 0.0
        self._refusal = MALFORMED
        self._started: list[Any] = []  # cycles whose reply is not complete, the running one first

    def connection_made(  # type: ignore[override]  # uvicorn narrows it so, too
        self, transport: asyncio.Transport
    ) -> None:
        """Take the connection, or turn it away when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            transport.write(FULL)
            transport.close()
            return
        self.transport = Lingering(transport, self)  # type: ignore[assignment]
        self._clock = self.loop.call_later(self.bounds.headers_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request on this connection that its client is gone."""
        self._stop_clock()
        if self._stall is not None:
            self._stall.cancel()
        for cycle in self._started:  # uvicorn tells the last one only
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._started.clear()
        self.pipeline.clear()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        # A cycle and its connection hold each other: let go of it, or bodies wait for the garbage collector.
        self.cycle = None  # type: ignore[assignment]  # as before the first request
        self.scope = None  # type: ignore[assignment]
        self.headers = []

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this connection only waits for the client to stop sending."""
        if self.is_draining:
            self._head_size += len(data)
            if self._head_size > self.bounds.drain_bytes:
                self.transport.abort()
            return
        if self._in_headers:
            self._head_size += len(data)
            if b"pgrade:" in data[: self.bounds.header_bytes]:
                data = _without_upgrade(data)
        super().data_received(data)
        if self._in_headers and self._head_size > self.bounds.header_bytes and not self.transport.is_closing():
            self._refuse(HEAD_TOO_LARGE)
        elif self._in_body:
            self._body_size += len(data)
        incomplete = self._in_body or (self._in_headers and self._head_size > 0)
        if incomplete and self._clock is None and not self.transport.is_closing():
            self._clock = self.loop.call_later(
                self.bounds.body_s if self._in_body else self.bounds.headers_s, self._late
            )

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request in our own words, and close."""
        self._refuse(self._refusal)

    # What the parser reports

    def on_headers_complete(self) -> None:
        """Check the bounds of the headers, then let the request begin."""
        self._in_headers = False
        self._stop_clock()
        if self._head_size > self.bounds.header_bytes or len(self.headers) > self.bounds.header_count:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.header_bytes or len(self.headers) > self.bounds.header_count:
                self._refusal = HEAD_TOO_LARGE
                raise ValueError("headers over the limit")  # the parser reports it, and the client gets 431
        self._head_size = 0
        self._in_body = True
        self._body_size = 0
        self._body_since = self.loop.time()
        super().on_headers_complete()
        self._started.append(self.cycle)

    def on_message_complete(self) -> None:
        """Stop the clock: the request is here."""
        self._in_body = False
        self._in_headers = True
        self._head_size = 0
        self._stop_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Forget the request that was answered and begin the next."""
        if self._started:
            self._started.pop(0)
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close at once where nothing is being answered, else after the reply."""
        if self._started:
            super().shutdown()
        else:
            self.transport.abort()

    # Time

    def pause_writing(self) -> None:
        """Hold the application back, and give the client a bounded time to read on."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.bounds.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Let the application write again."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _late(self) -> None:
        """Close a connection whose request did not become complete in time."""
        self._clock = None
        if self._is_answering(self.cycle if self._in_headers else None):
            # A reply is under way and the next request waits behind it, unread: its time starts with its turn.
            self._clock = self.loop.call_later(self.bounds.headers_s, self._late)
        elif self._in_body:
            earned_s = self.bounds.body_s + self._body_size / self.bounds.body_bytes_per_s
            left_s = self._body_since + earned_s - self.loop.time()
            if left_s > 0.01:  # slow, but coming
                self._clock = self.loop.call_later(left_s, self._late)
            else:
                self._refuse(BODY_LATE)
        elif self._head_size:
            self._refuse(HEADERS_LATE)
        else:
            self.transport.close()

    def _is_answering(self, last: Any) -> bool:
        """Return whether a request before the incomplete one is still being answered."""
        return len(self._started) > 1 or (last is not None and not last.response_complete)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    # Endings

    def _refuse(self, whole: bytes) -> None:
        """End the connection with a reply of our own where none is under way."""
        if not any(cycle.response_started for cycle in self._started) and not self.transport.is_closing():
            self.transport.write(whole)
        for cycle in self._started:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def leave(self, transport: asyncio.Transport) -> None:
        """Close the transport; while the client is still sending, first let it read the reply."""
        if self.is_draining or transport.is_closing():
            return
        self._stop_clock()
        if (self._in_body or self._head_size) and transport.can_write_eof():
            self.is_draining = True
            self._head_size = 0
            self._clock = self.loop.call_later(self.bounds.drain_s, transport.abort)
            self.flow.resume_reading()
            transport.write_eof()
            return
        if transport.get_write_buffer_size():
            self._clock = self.loop.call_later(self.bounds.write_s, transport.abort)
        transport.close()


def bounded(bounds: Bounds) -> type[Connection]:
    """Return the connection class with these bounds."""
    return type("BoundedConnection", (Connection,), {"bounds": bounds})
