"""The journal's pen: events of one run become rows, bodies become hashes, and nothing is waited for.

Knows how a run's events are numbered, dated and encoded, and what the index of runs takes from them. Knows no
database: rows go to whoever collects them. What cannot be encoded is written in a readable form instead of being lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import orjson

from shoal.core.clock import Clock
from shoal.core.event import ENDINGS, SCHEMA, Act, Event, canonical, digest

STATUS: Mapping[Act, str] = {
    Act.RUN_FINISHED: "finished",
    Act.RUN_FAILED: "failed",
    Act.RUN_CANCELLED: "cancelled",
}
MAX_INTEGER = 2**63 - 1


class Retention(StrEnum):
    """What becomes of bodies: kept (until they expire), or hashed and dropped."""

    KEEP = "keep"
    HASH_ONLY = "hash-only"


class EventRow(NamedTuple):
    """One event, in the order of the table's columns."""

    run: str
    sequence: int
    tenant_id: str
    action: str
    step: str | None
    attempt: int | None
    at: str
    schema: int
    data: bytes


class BodyRow(NamedTuple):
    """One body, in the order of the table's columns."""

    run: str
    hash: str
    tenant_id: str
    body: bytes
    key_id: str | None
    expires_at: str | None


@dataclass(slots=True)
class Batch:
    """Rows that are written together or not at all."""

    events: list[EventRow] = field(default_factory=list)
    bodies: list[BodyRow] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.events) + len(self.bodies)


class Collector(Protocol):
    """Takes rows and returns at once."""

    def add_event(self, row: EventRow, action: Act, data: Mapping[str, Any]) -> None: ...
    def add_body(self, row: BodyRow) -> None: ...


class RunRecord:
    """One run's pen; see `core.event.Record`."""

    __slots__ = ("_clock", "_collector", "_keep_for", "_retention", "_seen", "_sequence", "run", "tenant_id")

    def __init__(
        self,
        run: str,
        tenant_id: str,
        *,
        collector: Collector,
        clock: Clock,
        retention: Retention,
        keep_for: timedelta | None,
    ) -> None:
        self.run = clean(run)
        self.tenant_id = clean(tenant_id)
        self._collector = collector
        self._clock = clock
        self._retention = retention
        self._keep_for = keep_for
        self._sequence = 0
        self._seen: set[str] = set()

    def event(
        self, action: Act, data: Mapping[str, Any] | None = None, *, step: str | None = None, attempt: int | None = None
    ) -> None:
        """Append an event."""
        known = data or {}
        row = EventRow(
            self.run,
            self._sequence,
            self.tenant_id,
            action.value,
            None if step is None else clean(step),
            attempt,
            self._clock.now().isoformat(),
            SCHEMA,
            encoded(known),
        )
        self._sequence += 1
        self._collector.add_event(row, action, known)

    def body(self, value: Any) -> str:
        """Keep a body, as canonical JSON, and return its hash; what retention forbids is hashed and dropped."""
        body = encoded(value)
        name = digest(body)
        if self._retention is Retention.KEEP and name not in self._seen:
            self._seen.add(name)
            expires = None if self._keep_for is None else (self._clock.now() + self._keep_for).isoformat()
            self._collector.add_body(BodyRow(self.run, name, self.tenant_id, body, None, expires))
        return name


def encoded(value: Any) -> bytes:
    """Return canonical JSON of anything: what JSON cannot hold is written as text instead of being lost."""
    try:
        return canonical(value)
    except (TypeError, ValueError, RecursionError):
        return canonical(_readable(value))


def _readable(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(str(value))
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth > 50:
        return "..."
    if isinstance(value, Mapping):
        return {clean(str(key)): _readable(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(inner, depth + 1) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(clean(str(inner)) for inner in value)
    return clean(str(value))


def clean(text: str) -> str:
    """Return the text with lone surrogates, which no store takes, replaced by `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def opening(row: EventRow, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the index of runs learns from the first event."""
    return {
        "run": row.run,
        "tenant_id": row.tenant_id,
        "owner": _text(data.get("owner")),
        "started_at": row.at,
        "status": "running",
        "model": _text(data.get("model")),
    }


def ending(row: EventRow, action: Act, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the index of runs learns from the last event."""
    return {
        "of_run": row.run,
        "ended_at": row.at,
        "status": STATUS[action],
        "mode": _text(data.get("mode")),
        "served_by": _text(data.get("served_by")),
        "cost_usd": _text(data.get("cost_usd")),
        "input_tokens": _count(data.get("input_tokens")),
        "output_tokens": _count(data.get("output_tokens")),
        "language": _text(data.get("language")),
        "error": _text(data.get("code")),
    }


def is_ending(action: Act) -> bool:
    """Whether a run is over after this event."""
    return action in ENDINGS


def _text(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return format(value, "f")
    return None if value is None else clean(str(value))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and abs(value) <= MAX_INTEGER else None


def event_of(row: Any) -> Event:
    """Return the event a stored row stands for."""
    return Event(
        row.tenant_id,
        row.run,
        row.sequence,
        Act(row.action),
        datetime.fromisoformat(row.at),
        row.step,
        row.attempt,
        orjson.loads(row.data),
        row.schema,
    )
