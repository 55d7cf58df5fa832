"""Server-sent events: bytes in, events out.

Knows the event-stream format and the limits a hostile server meets. Knows nothing of what an event means. Strategy:
keep the unfinished last line as bytes, so that a cut inside a UTF-8 sequence, a CRLF or a field name changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from shoal.core.errors import Loss, UnreadableReply

MAX_EVENT_BYTES = 4 * 1024 * 1024  # one event, all its lines: far above any chunk seen, small enough to hold many
_BOM = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event: its name (empty for the usual kind) and its data lines joined."""

    name: str
    data: bytes


class EventParser:
    """Parses one event stream; every line is bounded by `max_bytes`, and so is every event."""

    __slots__ = ("_data", "_name", "_pending", "_size", "_skip_newline", "_started", "max_bytes")

    def __init__(self, *, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._pending: list[bytes] = []  # pieces of the line that has not ended yet
        self._size = 0  # bytes in `_pending` and `_data` together
        self._data: list[bytes] = []
        self._name = b""
        self._started = False
        self._skip_newline = False

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the events that these bytes complete.

        Raises:
            UnreadableReply: a line or an event is over the limit.
        """
        if self._skip_newline and data:
            # The last byte seen was a CR: an LF that follows belongs to the same line end.
            self._skip_newline = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return []
        if data[-1:] == b"\r":
            self._skip_newline = True
        events: list[ServerEvent] = []
        lines = _lines(data)
        last = lines.pop()
        for line in lines:
            if self._pending:
                self._pending.append(line)
                line = b"".join(self._pending)
                self._size -= len(line) - len(self._pending[-1])
                self._pending.clear()
            self._take(line, events)
        if last:
            self._pending.append(last)
            self._grow(len(last))
        return events

    def finish(self) -> list[ServerEvent]:
        """Return the event that a missing last blank line left open, if any; a body may end on its data line."""
        events: list[ServerEvent] = []
        if self._pending:
            line = b"".join(self._pending)
            self._pending.clear()
            self._take(line, events)
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[ServerEvent]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                events.append(ServerEvent(self._name.decode("utf-8", "replace"), data))
                self._data.clear()
            self._name, self._size = b"", 0
            return
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._grow(len(value) + 1)
            self._data.append(value)
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()[:64]
        # Comments, ids, retry times and unknown fields carry nothing for us.

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self.max_bytes:
            raise UnreadableReply(
                f"an event of the stream is over {self.max_bytes} bytes",
                loss=Loss.UNREADABLE,
                detail={"limit": "event"},
            )


def _lines(data: bytes) -> list[bytes]:
    """Split at LF, CRLF and CR; the last piece is what follows the last line end, and may be empty."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.split(b"\n")
