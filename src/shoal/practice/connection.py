"""Connection: HTTP/1.1 on a loopback port, with the right to behave badly on purpose.

Knows how to read a request, write a reply whole or in chunks, stop in the middle of one, and close a port so that the
same port can be opened again. Knows nothing of models, dialects or faults. Every buffer, count and wait has a bound.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httptools
import orjson

HOST = "127.0.0.1"
MAX_HEAD = 64 * 1024
MAX_BODY = 8 * 1024 * 1024
MAX_PIPELINED = 16
MAX_CONNECTIONS = 4096  # per port
REQUEST_S = 15.0  # for a whole request to arrive once the first byte is due
IDLE_S = 75.0  # between two requests of one connection
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Parse the body.

        Raises:
            ValueError: the body is not JSON.
        """
        return orjson.loads(self.body)


class Reply:
    """Writes one reply; what has left cannot be taken back, so each method says what state it needs."""

    def __init__(self, connection: Connection, keep_alive: bool) -> None:
        self._connection = connection
        self._keep_alive = keep_alive
        self.started = False
        self.ended = False

    async def whole(self, status: int, body: object, headers: Mapping[str, str] = JSON) -> None:
        """Send a complete reply; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        self._head(status, {**headers, "content-length": str(len(data))})
        await self.send_raw(data)
        self._end()

    async def begin(self, status: int, headers: Mapping[str, str], *, length: int | None = None) -> None:
        """Send a head; the body follows in chunks, or raw where `length` promises its size."""
        size = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
        self._head(status, {**headers, **size})

    async def send(self, data: bytes) -> None:
        """Send one chunk of a chunked reply."""
        if data:
            await self.send_raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, waiting while the client reads too slowly."""
        self._connection.write(data)
        await self._connection.writable.wait()

    async def finish(self) -> None:
        """End a chunked reply properly."""
        await self.send_raw(b"0\r\n\r\n")
        self._end()

    def cut(self) -> None:
        """Close the connection where it stands: what was written arrives, the promised rest never does."""
        self.started = self.ended = True
        self._connection.close()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.started = True
        close = {} if self._keep_alive else {"connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **close}.items())
        phrase = HTTPStatus(status).phrase
        self._connection.write(f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1"))

    def _end(self) -> None:
        self.ended = True
        if not self._keep_alive:
            self._connection.close()


Handler = Callable[[Call, Reply], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client: reads requests, answers them in order, and cancels the one in work when the client leaves."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Call, Reply]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._in_head = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or turn it away where the port is full."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._port.enter(self):
            transport.abort()
            return
        self._expect(REQUEST_S)

    def data_received(self, data: bytes) -> None:
        """Parse what came; anything that is no HTTP gets a 400 and the door."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400, "this is not an HTTP/1.1 request")
        if self._in_head:
            self._size += len(data)
            if self._size > MAX_HEAD:
                self._refuse(431, f"the head of the request is over {MAX_HEAD} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client and stop working for it."""
        self._port.leave(self)
        self._transport = None
        self._waiting.clear()
        self.writable.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Hold replies back while the client does not read."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Let replies flow again."""
        self.writable.set()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Start a fresh request."""
        self._url, self._headers, self._body, self._size = b"", {}, [], 0
        self._in_head = True
        self._expect(REQUEST_S)

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect one header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Switch to the body, telling a polite client to go on."""
        self._size, self._in_head = 0, False
        if self._headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Collect a part of the body."""
        self._size += len(data)
        if self._size > MAX_BODY:
            return self._refuse(413, f"the body is over {MAX_BODY} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Queue the request; it is answered when those before it are."""
        if self._transport is None or self._transport.is_closing():
            return
        path = self._url.split(b"?", 1)[0].decode("latin-1")
        method = self._parser.get_method().decode("latin-1")
        call = Call(method, path, self._headers, b"".join(self._body))
        self._body = []
        if len(self._waiting) >= MAX_PIPELINED:
            return self._refuse(400, "too many requests at once on one connection")
        self._waiting.append((call, Reply(self, self._parser.should_keep_alive())))
        if self._timer is not None:
            self._timer.cancel()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer())

    # What a reply calls.

    def write(self, data: bytes) -> None:
        """Send bytes, or drop them where the client has left."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what is buffered, then close."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Drop the client at once, as a host that dies does."""
        if self._transport is not None:
            link = self._transport.get_extra_info("socket")
            if link is not None:  # linger 0 turns the close into a reset
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    async def _answer(self) -> None:
        try:
            while self._waiting:
                call, reply = self._waiting.popleft()
                try:
                    await self._port.handler(call, reply)
                except Exception as error:  # the task of one request ends here
                    if reply.started:
                        self.reset()
                    else:
                        body = {"error": {"message": f"internal error: {error!r}", "type": "server_error"}}
                        await reply.whole(500, body)
                if not reply.ended:
                    self.close()
        finally:
            self._task = None
        self._expect(IDLE_S)

    def _expect(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is None and self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.close)

    def _refuse(self, status: int, message: str) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        body = orjson.dumps({"error": error})
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.write(head.encode("ascii") + body)
        self.close()


class Port:
    """One loopback port: opened on a free number, closed like a dead host, opened again on the same number."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.number = 0
        self._held: socket.socket | None = None  # bound, never listening: keeps the number ours while closed
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    @property
    def is_open(self) -> bool:
        """Whether clients can connect."""
        return self._server is not None

    async def open(self) -> None:
        """Listen, on a free number the first time and on the same number ever after."""
        if self._server is not None:
            return
        if self._held is None:
            self._held = _bound(0)
            self.number = self._held.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=_bound(self.number), backlog=2048)

    def close(self) -> None:
        """Stop listening and reset every open connection; the number stays reserved."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.reset()

    def release(self) -> None:
        """Close and give the number back."""
        self.close()
        if self._held is not None:
            self._held.close()
            self._held = None

    def enter(self, connection: Connection) -> bool:
        """Count a client in, unless the port is full or closed."""
        if self._server is None or len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Count a client out."""
        self._connections.discard(connection)


def _bound(number: int) -> socket.socket:
    """Bind without listening; several sockets may hold one number as long as at most one of them listens."""
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform != "linux":  # BSD and macOS ask for this one as well
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    link.bind((HOST, number))
    return link
