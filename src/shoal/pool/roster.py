"""The roster: every endpoint of the pool with all that is kept about it while the process lives.

Knows facts, breakers, seats and pace. Sends nothing. What can be worked out once per endpoint is worked out here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from shoal.core.attempt import Attempt
from shoal.core.endpoint import Endpoint, Limits
from shoal.core.errors import Loss
from shoal.pool.attempt import Dialect
from shoal.pool.breaker import FRESH, Breaker, Leave, Report, Tuning, admit, restore, tell
from shoal.pool.limiter import Limiter
from shoal.pool.pace import Pace
from shoal.pool.store import Store, Table

PROBE_SHARE = 0.25  # of the first-byte limit: a call that only looks whether an endpoint is back waits less


@dataclass(slots=True)
class Tally:
    """What an endpoint did since the start."""

    succeeded: int = 0
    failed: Counter[Loss] = field(default_factory=Counter)
    cost_usd: Decimal = Decimal(0)


@dataclass(slots=True)
class Entry:
    """One endpoint of the pool; mutable."""

    endpoint: Endpoint
    dialect: Dialect
    random: Random
    store: Store
    tuning: Tuning
    limiter: Limiter
    pace: Pace = field(default_factory=Pace)
    tally: Tally = field(default_factory=Tally)
    neighbours: tuple[Limiter, ...] = ()  # whose calls slow this one down: on this machine, those of all that run here

    @property
    def is_here(self) -> bool:
        """Whether the endpoint runs on this machine."""
        return self.endpoint.local or self.endpoint.practice

    @property
    def breaker(self) -> Breaker:
        """The endpoint's breaker as it stands."""
        found: Breaker | None = self.store.read(Table.BREAKER, self.endpoint.id)
        return FRESH if found is None else found

    def admit(self, now: float) -> Leave | None:
        """Take leave for one call, or None."""
        while True:
            held = self.store.read(Table.BREAKER, self.endpoint.id)
            breaker = FRESH if held is None else held
            after, leave = admit(breaker, now)
            if after is breaker or self.store.swap(Table.BREAKER, self.endpoint.id, held, after):
                return leave

    def tell(self, leave: Leave, report: Report, now: float) -> tuple[Breaker, Breaker]:
        """Report how a call ended; return the breaker before and after."""
        dice = self.random.random()
        while True:
            held = self.store.read(Table.BREAKER, self.endpoint.id)
            before = FRESH if held is None else held
            after = tell(before, leave, report, now, self.tuning, dice)
            if after is before or self.store.swap(Table.BREAKER, self.endpoint.id, held, after):
                if after.state is not before.state:
                    self.limiter.wake()
                return before, after

    def restore(self) -> None:
        """Forget what is held against the endpoint."""
        while not self.store.swap(
            Table.BREAKER,
            self.endpoint.id,
            held := self.store.read(Table.BREAKER, self.endpoint.id),
            restore(held or FRESH),
        ):
            pass
        self.limiter.wake()

    def note(self, attempt: Attempt, output: int, *, streamed: bool) -> None:
        """Take the times of a success."""
        self.tally.succeeded += 1
        first_byte_s = attempt.latency_s if attempt.first_byte_s is None else attempt.first_byte_s
        self.pace.note(streamed=streamed, first_byte_s=first_byte_s, latency_s=attempt.latency_s, output=output)

    def limits(
        self, *, streamed: bool, prompt_bytes: int, output: int, is_steady: bool, is_probe: bool, left_s: float | None
    ) -> Limits:
        """Return the limits of one call: the facts', tightened by the endpoint's pace and the time that is left.

        `is_steady` is False where the time to the first byte says nothing about health (thinking takes as long as it
        takes), so that no limit is learned.
        """
        facts = self.endpoint.limits
        first = facts.first_byte_s
        if is_steady:
            if is_probe:
                first *= PROBE_SHARE
            under_way = sum(limiter.taken for limiter in self.neighbours)
            first = self.pace.first_byte_s(
                first,
                streamed=streamed,
                prompt_bytes=prompt_bytes,
                output=output,
                under_way=under_way,
                is_here=self.is_here,
            )
        total, connect = facts.total_s, facts.connect_s
        if left_s is not None:
            total, connect, first = min(total, left_s), min(connect, left_s), min(first, left_s)
        if first == facts.first_byte_s and total == facts.total_s and connect == facts.connect_s:
            return facts
        return Limits(facts.concurrency, connect, first, facts.gap_s, total, facts.retries)
