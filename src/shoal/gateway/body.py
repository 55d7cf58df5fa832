"""Bodies: read to the end, or refused as soon as they are known to be too large.

Knows sizes only. One body is bounded by `max_body_mb`; all bodies being read or answered together are bounded too, so
that many callers cannot fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from shoal.core.errors import CallerError, Overloaded, TooLarge
from shoal.gateway.reply import Receive

MEBIBYTE = 1024 * 1024


class Gone(Exception):
    """The client left before its request was complete."""


class Bodies:
    """Reads bodies within both bounds."""

    def __init__(self, max_body_mb: float, max_together_mb: float = 256) -> None:
        self.max_bytes = int(max_body_mb * MEBIBYTE)
        self._max_together = max(int(max_together_mb * MEBIBYTE), self.max_bytes)
        self._together = 0
        self._too_large = f"the body is over {max_body_mb:g} MB; send less, or raise `[server] max_body_mb`"

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Return the whole body; give it back with `release` once it is no longer held.

        Raises:
            TooLarge: it is, or says that it will be, over the limit; the rest is not read.
            Overloaded: the bodies in hand together are over theirs.
            Gone: the client left.
        """
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise CallerError("send the body without Content-Encoding")
        said = headers.get(b"content-length")
        if said is not None and (not said.isdigit() or int(said[:20]) > self.max_bytes):
            raise TooLarge(self._too_large)
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part = message.get("body", b"")
                if part:
                    size += len(part)
                    self._together += len(part)
                    if size > self.max_bytes:
                        raise TooLarge(self._too_large)
                    if self._together > self._max_together:
                        raise Overloaded("too many large requests are in hand; try again shortly")
                    parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        except BaseException:
            self._together -= size
            raise

    def release(self, size: int) -> None:
        """Say that a body of this size is no longer held."""
        self._together -= size
