"""An exchange: one call and its reply under limits of silence, time and size.

Knows limits and bytes. Knows no dialect and no health. Each limit has its own message, so that a journal tells a
provider that never answered from one that stopped talking. The time a reader takes between two chunks is never
counted against the endpoint's silence; it does count against the total.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Mapping
from types import TracebackType

from shoal.core.endpoint import Limits
from shoal.core.errors import Loss, UnreadableReply, UpstreamError, UpstreamTimeout
from shoal.pool.transport import Response, Transport
from shoal.wire.outgoing import Outgoing

MAX_REPLY = 64 * 1024 * 1024  # bytes of one reply once unpacked; the longest answers of today are about 2 MB
DRAIN_S = 0.01


class Exchange:
    """One call under way; leaving it by whatever road drops what is left of it at once."""

    __slots__ = (
        "_left",
        "_limits",
        "_loop",
        "_response",
        "_started",
        "_transport",
        "_unpacker",
        "first_byte_s",
        "received",
        "sent",
    )

    def __init__(self, transport: Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._response: Response | None = None
        self._started = self._loop.time()
        self.sent = False
        self.received = 0
        self.first_byte_s: float | None = None

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.close()

    @property
    def status(self) -> int:
        """The reply's status."""
        assert self._response is not None, "nothing was sent yet"
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The reply's headers, names in lower case."""
        assert self._response is not None, "nothing was sent yet"
        return self._response.headers

    async def send(self, outgoing: Outgoing) -> None:
        """Send the call and wait for the head of the reply.

        Raises:
            UpstreamError: the endpoint could not be reached or stayed silent.
        """
        self._started = self._loop.time()
        self.sent = True
        try:
            async with asyncio.timeout_at(self._started + min(self._limits.first_byte_s, self._limits.total_s)):
                self._response = await self._transport.send(outgoing, self._limits)
        except UpstreamError as error:
            self.sent = error.sent
            raise
        except TimeoutError:
            raise self._silence() from None
        headers = self._response.headers
        self._unpacker = _unpacker(headers.get("content-encoding", ""))
        length = headers.get("content-length", "")
        self._left = int(length) if length.isdecimal() and length.isascii() and len(length) < 16 else None

    async def read(self) -> bytes:
        """Return the next piece of the body, empty at its end; the first is still due within the first-byte limit.

        Raises:
            UpstreamError: the body broke off, stalled, took too long or grew too large.
        """
        assert self._response is not None, "nothing was sent yet"
        if self._left == 0:  # all that was announced is here; no need to wait for the end to be said
            return b""
        limits, end = self._limits, self._started + self._limits.total_s
        while True:
            silent_at = self._loop.time() + limits.gap_s
            if self.first_byte_s is None:
                silent_at = self._started + limits.first_byte_s
            try:
                async with asyncio.timeout_at(min(silent_at, end)):
                    data = await self._response.read()
            except TimeoutError:
                raise self._silence() from None
            if not data:
                return b""
            if self.first_byte_s is None:
                self.first_byte_s = self._loop.time() - self._started
            if self._left is not None:
                self._left = max(self._left - len(data), 0)
            if self._unpacker is not None:
                data = _unpack(self._unpacker, data, MAX_REPLY - self.received + 1)
            self.received += len(data)
            if self.received > MAX_REPLY:
                raise UnreadableReply(f"the reply is larger than {MAX_REPLY} bytes", loss=Loss.UNREADABLE)
            if data:
                return data

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            UpstreamError: as for `read`.
        """
        pieces = []
        while data := await self.read():
            pieces.append(data)
        return b"".join(pieces)

    async def drain(self) -> None:
        """Give the end of a body that has said all it had to say a moment to come, so that its connection lives on."""
        assert self._response is not None, "nothing was sent yet"
        with contextlib.suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._response.read()

    def _silence(self) -> UpstreamTimeout:
        limits = self._limits
        if self._loop.time() - self._started >= limits.total_s:
            return UpstreamTimeout(f"the endpoint did not finish within {limits.total_s:.3g} s")
        if self.first_byte_s is None:
            return UpstreamTimeout(f"the endpoint sent no first byte within {limits.first_byte_s:.3g} s")
        return UpstreamTimeout(f"the endpoint fell silent for {limits.gap_s:.3g} s in the middle of its reply")


def _unpacker(encoding: str) -> zlib._Decompress | None:
    """Return what unpacks a reply that came packed although we ask for it plain."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        case other:
            raise UnreadableReply(
                f"the reply is packed as `{other[:20]}`, which was not asked for", loss=Loss.UNREADABLE
            )


def _unpack(unpacker: zlib._Decompress, data: bytes, most: int) -> bytes:
    """Return what the bytes unpack to, at most `most` bytes of it."""
    try:
        return unpacker.decompress(data, most)
    except zlib.error:
        raise UnreadableReply("the reply is packed and cannot be unpacked", loss=Loss.UNREADABLE) from None
