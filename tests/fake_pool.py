"""A pool over a simulated network, for the suites that follow routes without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from fakes import Notes, endpoint
from shoal.core.attempt import Served
from shoal.core.budget import Account
from shoal.core.endpoint import Endpoint, Limits
from shoal.core.event import Act
from shoal.core.item import Delta, say
from shoal.core.label import Label
from shoal.core.plan import Ranked, Route
from shoal.core.request import Prompt, Sampling
from shoal.core.selector import Narrowing
from shoal.core.verdict import Effect, Verdict
from shoal.pool.breaker import Tuning
from shoal.pool.pool import Pool
from shoal.simulation.clock import SimulatedClock, simulate
from shoal.simulation.fault import Script
from shoal.simulation.world import World

T = TypeVar("T")
QUICK = Limits(concurrency=4, connect_s=1.0, first_byte_s=5.0, gap_s=2.0, total_s=30.0, retries=1)


@dataclass
class Gate:
    """A policy that forbids some endpoints, and remembers whom it was asked about."""

    forbidden: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def permits(self, endpoint: Endpoint, label: Label, narrowing: Narrowing) -> Verdict:
        self.asked.append(endpoint.id)
        if endpoint.id in self.forbidden:
            return Verdict(endpoint.id, Effect.FORBID, ("rule",), (), "it is forbidden")
        return Verdict(endpoint.id, Effect.PERMIT)


@dataclass
class Sea:
    """A world, a pool over it, and a way to follow the route through all its endpoints."""

    world: World
    pool: Pool
    gate: Gate
    clock: SimulatedClock
    beliefs: tuple[float, ...]

    def route(self) -> Route:
        return Route(
            tuple(Ranked(e, belief, belief) for e, belief in zip(self.world.endpoints, self.beliefs, strict=True))
        )

    async def follow(
        self,
        *,
        notes: Notes | None = None,
        seen: list[Delta] | None = None,
        account: Account | None = None,
        deadline_s: float | None = None,
        prompt: Prompt | None = None,
        emit_s: float = 0.0,
    ) -> Served:
        async def emit(delta: Delta) -> None:
            assert seen is not None
            seen.append(delta)
            if emit_s:
                await asyncio.sleep(emit_s)

        return await self.pool.follow(
            self.route(),
            prompt or Prompt((say("how deep is the sea?"),)),
            step="a",
            record=notes or Notes(),
            account=account or Account(),
            narrowing=Narrowing(),
            deadline=None if deadline_s is None else self.clock.monotonic() + deadline_s,
            emit=None if seen is None else emit,
        )


def sea(
    *scripts: Script | None,
    limits: Limits = QUICK,
    beliefs: Sequence[float] = (),
    tuning: Tuning | None = None,
    **facts: Any,
) -> Sea:
    """Return a sea with one endpoint per script; call it inside `sail`."""
    world, gate, clock = World(7), Gate(), SimulatedClock()
    for number, script in enumerate(scripts):
        world.add(endpoint(f"p{number}/m{number}", limits=limits, **facts), script)
    pool = Pool(
        world.endpoints,
        transport=world.network,
        clock=clock,
        random_for=world.random_for,
        secret=lambda name: None,
        gate=gate,
        tuning=tuning,
    )
    return Sea(world, pool, gate, clock, tuple(beliefs) or (0.9,) * len(scripts))


def sail(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a story in simulated time."""
    return simulate(main())


def prompt_of(text: str = "hello", max_tokens: int | None = None) -> Prompt:
    """Return a prompt of one user message."""
    return Prompt((say(text),), Sampling(max_tokens=max_tokens))


def data_of(notes: Notes, act: Act) -> list[dict[str, Any]]:
    """Return the data of all events of one kind."""
    return [dict(data) for action, _, data in notes.events if action is act]


def usd(text: str) -> Decimal:
    """Return an exact amount."""
    return Decimal(text)
