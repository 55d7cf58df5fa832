"""Replies: status, headers and JSON bytes, and errors in the shape OpenAI clients read.

Knows HTTP's outer form. Knows nothing of what is answered. Headers that never change are made once.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from decimal import Decimal
from typing import Any

import orjson

from shoal.core.errors import BudgetSpent, DeadlineSpent, Overloaded, ShoalError, UpstreamError
from shoal.gateway.guard import clean
from shoal.wire.door_reply import error_object

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")
CLOSE = (b"connection", b"close")
NO_RETRY = (b"x-should-retry", b"false")

log = logging.getLogger("shoal.gateway")


async def reply(send: Send, status: int, body: bytes, extra: Headers | None = None) -> None:
    """Send a whole JSON reply."""
    headers = [JSON, (b"content-length", b"%d" % len(body)), NOSNIFF]
    if extra:
        headers += extra
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def encode(value: Any) -> bytes:
    """Return JSON; decimals become texts and texts that are no Unicode are repaired."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return orjson.dumps(_repaired(value), default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_repaired(str(k)): _repaired(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_repaired(v) for v in value]
    return value


def error_headers(error: ShoalError) -> Headers:
    """Return what tells a client whether, and when, trying again makes sense."""
    if isinstance(error, BudgetSpent | DeadlineSpent):
        return [NO_RETRY]
    if isinstance(error, Overloaded):
        return [(b"retry-after", b"1")]
    if isinstance(error, UpstreamError) and error.retry_after_s is not None:
        return [(b"retry-after", b"%d" % max(1, math.ceil(min(error.retry_after_s, 3600))))]
    return []


async def reply_error(send: Send, error: ShoalError, run: str | None = None, extra: Headers | None = None) -> None:
    """Send an error; a caller whose body was not read to its end is also disconnected."""
    headers = error_headers(error) + (extra or [])
    if run is not None:
        headers.append((b"x-shoal-run", clean(run)))
    note(error, run)
    await reply(send, error.status, encode({"error": error_object(error, run)}), headers)


def note(error: ShoalError, run: str | None) -> None:
    """Write one structured line: codes and the run, never what was asked or answered."""
    level = logging.WARNING if error.status >= 500 else logging.INFO
    if log.isEnabledFor(level):
        line = {"event": "request_failed", "run": run, "status": error.status, "code": error.code}
        log.log(level, "%s", orjson.dumps(line).decode())


def unexpected(error: BaseException, run: str | None) -> ShoalError:
    """Log a mistake of ours, where it happened but not with which content, and return what the caller is told."""
    frames = [f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    line = {"event": "unexpected_error", "run": run, "type": type(error).__name__, "at": frames[-12:]}
    log.error("%s", orjson.dumps(line).decode())
    return ShoalError("something went wrong inside Shoal; the log has a line with the run's id")
