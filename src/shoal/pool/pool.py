"""The pool: the endpoints, their health, and the one way to ask them.

Knows endpoints by id and walks routes over them. Knows nothing of how a route was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any

from shoal.core.attempt import Emit, Served
from shoal.core.budget import Account
from shoal.core.clock import Clock
from shoal.core.endpoint import Endpoint
from shoal.core.errors import SetupError
from shoal.core.event import Record
from shoal.core.plan import Route
from shoal.core.request import Prompt
from shoal.core.selector import Narrowing
from shoal.pool import health as vital
from shoal.pool.attempt import Dialect
from shoal.pool.breaker import State, Tuning
from shoal.pool.choice import Candidate
from shoal.pool.health import Health
from shoal.pool.limiter import Limiter
from shoal.pool.roster import Entry
from shoal.pool.store import LocalStore, Store
from shoal.pool.transport import Transport
from shoal.pool.walk import Errand, Gate, Means, Secret, Walk
from shoal.wire.dialects import DIALECTS


class Pool:
    """Endpoints with health, limits and breakers; the only caller of providers."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        transport: Transport,
        clock: Clock,
        random_for: Callable[[str], Random],
        secret: Secret,
        gate: Gate,
        store: Store | None = None,
        tuning: Tuning | None = None,
        dialects: Mapping[str, Dialect] = DIALECTS,
    ) -> None:
        self._means = Means(transport, clock, secret, gate)
        self._random_for = random_for
        self._store = store or LocalStore()
        self._tuning = tuning or Tuning()
        self._dialects = dialects
        self._entries: dict[str, Entry] = {}
        self._latency: dict[str, float] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        """Make these the pool's endpoints; those that stay keep their health.

        Raises:
            SetupError: an endpoint speaks a dialect nobody here does.
        """
        kept: dict[str, Entry] = {}
        for endpoint in endpoints:
            dialect = self._dialects.get(endpoint.dialect)
            if dialect is None:
                known = ", ".join(f"`{name}`" for name in sorted(self._dialects))
                raise SetupError(f"endpoint `{endpoint.id}` speaks `{endpoint.dialect}`; the pool speaks {known}")
            entry = self._entries.get(endpoint.id)
            if entry is None:
                limiter = Limiter(endpoint.id, endpoint.limits.concurrency, self._store)
                random = self._random_for(endpoint.id)
                entry = Entry(endpoint, dialect, random, self._store, self._tuning, limiter)
            else:
                entry.endpoint, entry.dialect = endpoint, dialect
                entry.limiter.resize(endpoint.limits.concurrency)
            kept[endpoint.id] = entry
        here = tuple(entry.limiter for entry in kept.values() if entry.is_here)
        for entry in kept.values():
            entry.neighbours = here if entry.is_here else (entry.limiter,)
        self._entries = kept

    async def follow(
        self,
        route: Route,
        prompt: Prompt,
        *,
        step: str,
        record: Record,
        account: Account,
        narrowing: Narrowing,
        deadline: float | None = None,
        emit: Emit | None = None,
    ) -> Served:
        """Return the answer of the first endpoint on the route that gives one; with `emit`, stream it there.

        Until the first content reaches `emit` a lost endpoint is invisible; after it nobody else may answer.

        Raises:
            NoAbleEndpoint: nobody could; `detail` lists every attempt.
            Overloaded: everybody is busy.
            BudgetSpent: no endpoint's worst case fits into what is left.
            DeadlineSpent: the time is over.
            NothingPermitted: policy refused every endpoint at the moment of sending.
            StreamLost: an endpoint was lost after its first content.
            CallerError: every endpoint that was asked found the request at fault.
        """
        candidates = [
            Candidate(entry, ranked.belief)
            for ranked in route.ranked
            if (entry := self._entries.get(ranked.endpoint.id)) is not None
        ]
        errand = Errand(prompt, step, record, account, narrowing, deadline, emit)
        served = await Walk(self._means, errand, candidates).run()
        latency_s = self._entries[served.endpoint.id].pace.latency_s if served.endpoint.id in self._entries else None
        if latency_s is not None:
            self._latency[served.endpoint.id] = latency_s
        return served

    def health(self, endpoint_id: str) -> Health:
        """Return how an endpoint is at this moment."""
        entry = self._entries.get(endpoint_id)
        if entry is None:
            return Health(False, "it is not in the pool", State.OPEN)
        now = self._means.clock.monotonic()
        breaker = entry.breaker
        return Health(
            able=vital.ailment(breaker, now) is None,
            reason=vital.reason(breaker, now),
            state=breaker.state,
            cause=breaker.cause,
            again_in_s=max(breaker.until - now, 0.0) if breaker.state is State.OPEN else 0.0,
            in_flight=entry.limiter.taken,
            waiting=entry.limiter.waiting,
        )

    def ailment(self, endpoint_id: str) -> str | None:
        """Return why an endpoint should not be on a route now, or None."""
        entry = self._entries.get(endpoint_id)
        if entry is None:
            return "it is not in the pool"
        return vital.ailment(entry.breaker, self._means.clock.monotonic())

    def latency(self) -> Mapping[str, float]:
        """Return the running mean of seconds per answer by endpoint, where there was one."""
        return MappingProxyType(self._latency)

    def restore(self, endpoint_id: str) -> None:
        """Forget what is held against an endpoint: the operator says that it is well again."""
        entry = self._entries.get(endpoint_id)
        if entry is not None:
            entry.restore()

    def stats(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what every endpoint did since the start, as plain values."""
        return {
            name: {
                "succeeded": entry.tally.succeeded,
                "failed": {str(loss): count for loss, count in entry.tally.failed.items()},
                "cost_usd": entry.tally.cost_usd,
                "in_flight": entry.limiter.taken,
                "waiting": entry.limiter.waiting,
                "standing": vital.standing(entry.breaker),
                "latency_s": entry.pace.latency_s,
            }
            for name, entry in self._entries.items()
        }
