"""A reply that leaves in pieces: when it begins, what is sent together, and what is sent while nothing comes.

Knows bytes and time, not what the bytes mean. The run fills the outlet, one writer empties it; what is put while the
writer waits for the client leaves in one piece, and when too much waits, the run waits. The status line is held back
until the first bytes or the first heartbeat, so that an error before that still has its own status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shoal.gateway.reply import NOSNIFF, Headers, Send

HEARTBEAT = b": shoal\n\n"
HIGH_WATER = 64 * 1024  # bytes that may wait for a slow reader
EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the first tokens back
    NOSNIFF,
]


class Outlet:
    """One streamed reply. `headers` is asked once, at the moment the reply begins."""

    def __init__(self, send: Send, headers: Callable[[], Headers], *, heartbeat_s: float) -> None:
        self._send = send
        self._headers = headers
        self._heartbeat_s = heartbeat_s
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._quiet_since = self._loop.time()
        self._beat: asyncio.TimerHandle | None = self._loop.call_later(heartbeat_s, self._tick)
        self._writer: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the client has been, or is about to be, given a status."""
        return self._writer is not None

    async def put(self, data: bytes) -> None:
        """Take bytes for the client; wait while too many are waiting already."""
        if not data:
            return
        self._add(data)
        assert self._writer is not None
        if self._writer.done():
            self._writer.result()  # the server broke the reply off; say so instead of waiting for room
        elif self._size > HIGH_WATER:
            self._room.clear()
            await self._room.wait()

    async def end(self, data: bytes = b"") -> None:
        """Send the last bytes and finish the reply."""
        self._ended = True
        self._add(data)
        assert self._writer is not None
        await self._writer

    async def close(self) -> None:
        """Stop every timer and the writer, whatever state the reply is in."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        if self._writer is not None and not self._writer.done():
            self._writer.cancel()
            await asyncio.wait([self._writer])

    def _add(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)
            self._size += len(data)
        self._filled.set()
        if self._writer is None:
            self._writer = self._loop.create_task(self._write())

    def _tick(self) -> None:
        """Keep proxies and clients from giving up on a quiet run."""
        quiet_s = self._loop.time() - self._quiet_since
        if quiet_s >= self._heartbeat_s - 0.01:
            self._quiet_since = self._loop.time()
            quiet_s = 0.0
            if not self._waiting:  # a reader that is behind needs no heartbeat
                self._add(HEARTBEAT)
        self._beat = self._loop.call_later(self._heartbeat_s - quiet_s, self._tick)

    async def _write(self) -> None:
        try:
            await self._send({"type": "http.response.start", "status": 200, "headers": self._headers()})
            while True:
                await self._filled.wait()
                self._filled.clear()
                ended = self._ended
                piece = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
                self._waiting.clear()
                self._size = 0
                if piece or ended:
                    self._quiet_since = self._loop.time()
                    await self._send({"type": "http.response.body", "body": piece, "more_body": not ended})
                self._room.set()
                if ended:
                    return
        finally:
            self._room.set()
