"""A journal in memory, for worlds whose disk is not what is being tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.core.clock import Clock
from shoal.core.event import Act, Event, Record, canonical, digest


@dataclass(slots=True)
class MemoryJournal:
    """Keeps every event of every run, in order."""

    clock: Clock
    events: dict[str, list[Event]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    healthy: bool = True

    def record(self, run: str, tenant_id: str) -> Record:
        """Return the pen of one run."""
        return _Pen(self, run, tenant_id)

    async def ready(self) -> None:
        """Memory is always ready."""

    async def flush(self, run: str) -> None:
        """Memory is always durable enough."""


@dataclass(frozen=True, slots=True)
class _Pen:
    journal: MemoryJournal
    run: str
    tenant: str

    def event(
        self, action: Act, data: Mapping[str, Any] | None = None, *, step: str | None = None, attempt: int | None = None
    ) -> None:
        """Append an event; whatever cannot become canonical bytes fails here, as it would in the ledger."""
        kept = self.journal.events.setdefault(self.run, [])
        event = Event(self.tenant, self.run, len(kept), action, self.journal.clock.now(), step, attempt, data or {})
        event.canonical()
        kept.append(event)

    def body(self, value: Any) -> str:
        """Keep a body."""
        data = canonical(value)
        name = digest(data)
        self.journal.bodies[name] = data
        return name
