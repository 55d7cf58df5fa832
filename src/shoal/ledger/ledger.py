"""The ledger: one writer, a bounded queue, group commits.

Knows what happened and makes it durable. Judges nothing. Pens append without waiting; the writer commits what has
gathered every 20 ms, at 500 rows, or as soon as somebody waits for it. While the store fails nothing is dropped: the
rows stay queued, `healthy` is False so that no new request is taken, and writing is tried again until it succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import orjson

from shoal.core.clock import Clock
from shoal.core.event import Act, Event
from shoal.core.request import LOCAL_TENANT
from shoal.ledger.journal import (
    Batch,
    BodyRow,
    EventRow,
    Retention,
    RunRecord,
    ending,
    event_of,
    is_ending,
    opening,
)
from shoal.ledger.store import Store
from shoal.ledger.views import RunView, view

INTERVAL_S = 0.02  # how long an event nobody waits for may stay in memory
GROUP = 500  # rows that are worth a commit of their own
MAX_ROWS = 20_000  # above this `ready` waits
MAX_BYTES = 64 * 2**20  # of bodies in memory, likewise
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0  # between attempts to write while the store fails
LAST_WORDS_S = 5.0  # how long closing tries to write what is left

log = logging.getLogger("shoal.ledger")


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of the list of runs."""

    run: str
    tenant_id: str
    owner: str | None
    status: str
    started_at: datetime
    ended_at: datetime | None
    model: str | None
    mode: str | None
    served_by: str | None
    cost_usd: Decimal | None
    input_tokens: int | None
    output_tokens: int | None
    language: str | None
    error: str | None


class Ledger:
    """Keeps journal, costs and bodies. Used from one event loop; open it before the first request."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        retention: Retention = Retention.KEEP,
        keep_for: timedelta | None = None,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._store = Store(url)
        self._clock = clock
        self._retention = retention
        self._keep_for = keep_for
        self._max_rows = max_rows
        self._batch = Batch()
        self._gathered = 0  # rows in the batch
        self._bytes = 0
        self._appended = 0
        self._durable = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wake: asyncio.Event | None = None
        self._writer: asyncio.Task[None] | None = None
        self._healthy = True

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the store and start the writer.

        Raises:
            SetupError: the store cannot be opened, or was written by a newer Shoal.
        """
        await self._store.open()
        self._wake = asyncio.Event()
        self._wake.set()
        self._writer = asyncio.create_task(self._write_forever(), name="ledger writer")

    async def close(self) -> int:
        """Write what is left and let go; return how many rows could not be written, after logging them as lost."""
        if self._writer is not None:
            loop = asyncio.get_running_loop()
            until = loop.time() + LAST_WORDS_S
            while self.pending and loop.time() < until:
                self._hurry()
                await asyncio.wait([self._reach(self._appended)], timeout=until - loop.time())
            self._writer.cancel()
            await asyncio.wait([self._writer])
            self._writer = None
        lost = self._appended - self._durable
        if lost:
            log.error("the ledger closes with %d rows that could not be written", lost)
        await self._store.close()
        return lost

    @property
    def healthy(self) -> bool:
        """Whether what is appended becomes durable; while False no new request may be taken."""
        return self._healthy

    @property
    def pending(self) -> int:
        """Rows that are not durable yet."""
        return self._appended - self._durable

    def record(self, run: str, tenant_id: str = LOCAL_TENANT) -> RunRecord:
        """Return the pen of a run."""
        return RunRecord(
            run, tenant_id, collector=self, clock=self._clock, retention=self._retention, keep_for=self._keep_for
        )

    def add_event(self, row: EventRow, action: Act, data: Mapping[str, Any]) -> None:
        """Queue an event; the pens call this."""
        self._batch.events.append(row)
        if action is Act.RUN_STARTED:
            self._batch.starts.append(opening(row, data))
        elif is_ending(action):
            self._batch.ends.append(ending(row, action, data))
        self._added()

    def add_body(self, row: BodyRow) -> None:
        """Queue a body; the pens call this."""
        self._batch.bodies.append(row)
        self._bytes += len(row.body)
        self._added()

    async def ready(self) -> None:
        """Wait while too much is queued; while the ledger is unhealthy this returns, and `healthy` says so."""
        while self._healthy and (self.pending > self._max_rows or self._bytes > MAX_BYTES):
            self._hurry()
            await self._reach(self._appended if self._bytes > MAX_BYTES else self._appended - self._max_rows)

    async def flush(self, run: str) -> None:
        """Wait until every event of the run so far is durable, or until the ledger is known to be unhealthy."""
        if self._healthy and self.pending:
            self._hurry()
            await self._reach(self._appended)

    async def events(self, run: str) -> tuple[Event, ...]:
        """Return the durable events of a run in order."""
        return tuple(event_of(row) for row in await self._store.events(run))

    async def run(self, run: str) -> RunView | None:
        """Return the story of a run, or None where there is none of that name."""
        events = await self.events(run)
        if not events:
            return None
        errors = {e.data["error"] for e in events if "error" in e.data}
        found = view(events, {name: await self.body(run, name) for name in sorted(errors)})
        if found.status == "running" and await self._store.is_interrupted(run):
            found.status = "interrupted"
        return found

    async def runs(
        self, limit: int = 20, *, tenant_id: str | None = None, owner: str | None = None
    ) -> tuple[RunLine, ...]:
        """Return the last runs, the newest first; only those of a tenant or an owner where one is given."""
        return tuple(_line(row) for row in await self._store.runs(limit, tenant_id, owner))

    async def interrupt(self, before: datetime) -> int:
        """Mark runs without an ending that began before; for who knows that nobody else writes here.

        Only the index says so: a run that goes on after all, in a process nobody knew of, ends as it ends.
        """
        return await self._store.interrupt(before.isoformat())

    async def body(self, run: str, name: str) -> Any | None:
        """Return a body by its hash, or None where it was never kept or is forgotten."""
        found = await self._store.body(run, name)
        return None if found is None else orjson.loads(found)

    async def expire(self, now: datetime) -> int:
        """Forget the bodies whose time is over; return how many."""
        return await self._store.expire(now.isoformat())

    def _added(self) -> None:
        self._appended += 1
        self._gathered += 1
        if self._gathered == 1 and self._wake is not None:
            asyncio.get_running_loop().call_later(INTERVAL_S, self._hurry)
        elif self._gathered == GROUP:
            self._hurry()

    def _hurry(self) -> None:
        if self._wake is not None:
            self._wake.set()

    def _reach(self, position: int) -> asyncio.Future[None]:
        """Return what is done once `position` rows are durable, or once the ledger turns unhealthy."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._durable >= position:
            future.set_result(None)
        else:
            self._waiting.append((position, future))
        return future

    def _release(self, position: int | None) -> None:
        """Wake those who wait for no more than `position` rows; everybody where it is None."""
        still: deque[tuple[int, asyncio.Future[None]]] = deque()
        for wanted, future in self._waiting:
            if position is not None and wanted > position:
                still.append((wanted, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = still

    async def _write_forever(self) -> None:
        assert self._wake is not None
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._batch, self._gathered = self._batch, Batch(), 0
            if len(batch):
                await self._write(batch)

    async def _write(self, batch: Batch) -> None:
        """Write one batch, however often the store fails."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._store.write(batch)
                break
            except Exception as error:  # the writer never ends: what it cannot write it keeps
                if self._healthy:
                    log.error("the ledger cannot be written, %d rows wait: %s", self.pending, error)
                self._healthy = False
                self._release(None)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
        self._durable += len(batch)
        self._bytes -= sum(len(row.body) for row in batch.bodies)
        self._release(self._durable)
        if not self._healthy:
            self._healthy = True
            log.warning("the ledger can be written again")


def _line(row: Any) -> RunLine:
    values = dict(row._mapping)
    for name in ("started_at", "ended_at"):
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    values["cost_usd"] = None if values["cost_usd"] is None else Decimal(values["cost_usd"])
    return RunLine(**values)
