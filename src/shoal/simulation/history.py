"""Histories: the whole pipeline run in a failing world from one seed, and what it left behind.

Everything random - who is there, what goes wrong when, what clients ask, under which law, budget and deadline, and when
they leave - comes from the seed, each from a stream of its own. The same seed gives the same history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from shoal.assembly import Gate, Vitals, wire
from shoal.catalogue.loader import load_facts
from shoal.catalogue.snapshot import build_snapshot
from shoal.coordinator.coordinator import Coordinator
from shoal.core.endpoint import Endpoint
from shoal.core.errors import ShoalError
from shoal.core.event import Event
from shoal.core.item import Delta, FinishDelta, say
from shoal.core.label import Label
from shoal.core.request import Effort, Prompt, Request, Sampling
from shoal.core.selector import Narrowing, parse
from shoal.pipeline import Defaults, Pipeline
from shoal.policy.policy import Policy
from shoal.policy.rules import Rules
from shoal.pool.pool import Pool
from shoal.simulation.clock import SimulatedClock, simulate
from shoal.simulation.journal import MemoryJournal
from shoal.simulation.network import Sent
from shoal.simulation.world import COUNTRIES, World, make_world

SPAN_S = 300.0
SECTORS = ("finance", "health")


@dataclass(frozen=True, slots=True)
class Ending:
    """How one client's request ended, as the client saw it."""

    request: Request
    how: str  # answered, refused, lost, left
    error: str | None = None
    deltas: tuple[Delta, ...] = ()
    took_s: float = 0.0

    @property
    def finished_cleanly(self) -> bool:
        """Whether a stream said that it was finished."""
        return any(isinstance(delta, FinishDelta) for delta in self.deltas)


@dataclass(frozen=True, slots=True)
class History:
    """Everything a checker looks at."""

    seed: int
    rules: Rules
    endpoints: tuple[Endpoint, ...]
    endings: tuple[Ending, ...]
    events: dict[str, list[Event]]
    sent: tuple[Sent, ...]
    left_open: int
    pool_busy: dict[str, int] = field(default_factory=dict)


def play(seed: int, *, requests: int = 60, endpoints: int = 7) -> History:
    """Return the history of one seed."""
    return simulate(_play(seed, requests, endpoints))


async def _play(seed: int, requests: int, endpoints: int) -> History:
    world = make_world(seed, endpoints=endpoints, span_s=SPAN_S)
    rules = _rules(world.random_for("law"))
    clock = SimulatedClock()
    journal = MemoryJournal(clock)
    pipeline, pool = _pipeline(world, rules, clock, journal)
    calls = [_request(world.random_for(f"client {number}"), number, world) for number in range(requests)]
    endings = await asyncio.gather(
        *(_client(pipeline, clock, world.random_for(f"manners {number}"), call) for number, call in enumerate(calls))
    )
    busy = {e.id: pool.health(e.id).in_flight for e in world.endpoints}
    return History(
        seed, rules, world.endpoints, tuple(endings), journal.events, tuple(world.network.sent),
        world.network.under_way, busy,
    )  # fmt: skip


def _pipeline(world: World, rules: Rules, clock: SimulatedClock, journal: MemoryJournal) -> tuple[Pipeline, Pool]:
    policy = Policy.compile(rules)
    coordinator = Coordinator()
    pool = Pool(
        world.endpoints,
        transport=world.network,
        clock=clock,
        random_for=world.random_for,
        secret=lambda name: None,
        gate=Gate(policy),
    )
    snapshot = build_snapshot(load_facts(), (), world.endpoints)
    defaults = Defaults(None, 120.0)
    return wire(snapshot, policy, coordinator, pool, Vitals(pool, {}), journal, clock, defaults), pool


def _rules(random: Random) -> Rules:
    deny = tuple(f"country:{c}" for c in random.sample(COUNTRIES[:6], random.randint(0, 2)))
    allow = tuple(f"host:{c}" for c in random.sample(COUNTRIES[:6], 4)) if random.random() < 0.2 else ()
    return Rules(allow, deny, "permit")


def _request(random: Random, number: int, world: World) -> Request:
    named = random.random() < 0.2
    model = random.choice(world.endpoints).id if named else random.choice(("shoal", "shoal-fast", "shoal-deep"))
    exclude = (parse(f"host:{random.choice(COUNTRIES)}"),) if random.random() < 0.3 else ()
    budget = Decimal(random.choice(("0.0001", "0.002", "0.05"))) if random.random() < 0.4 else None
    label = Label(
        subjects=frozenset({random.choice(COUNTRIES)}) if random.random() < 0.3 else frozenset(),
        sectors=frozenset({random.choice(SECTORS)}) if random.random() < 0.2 else frozenset(),
        personal=random.random() < 0.2,
    )
    question = "tell me about the tide " * random.randint(1, 6)
    return Request(
        run=f"run_{world.seed:06d}{number:020d}",
        model=model,
        prompt=Prompt((say(question),), Sampling(max_tokens=random.choice((None, 20, 200))), label=label),
        effort=Effort.AUTO,
        stream=random.random() < 0.5,
        narrowing=Narrowing(exclude=exclude),
        budget_usd=budget,
        deadline_s=random.choice((None, 2.0, 30.0)),
    )


async def _client(pipeline: Pipeline, clock: SimulatedClock, manners: Random, request: Request) -> Ending:
    """Ask at some moment, read at some pace, and sometimes leave in the middle."""
    await clock.sleep(manners.uniform(0, SPAN_S))
    patience = manners.uniform(0.05, 3.0) if manners.random() < 0.15 else None
    started = clock.monotonic()
    deltas: list[Delta] = []
    how, error = "answered", None
    try:
        async with asyncio.timeout(patience):
            if request.stream:
                await _read(pipeline, request, deltas, manners)
            else:
                await pipeline.answer(request)
    except ShoalError as refused:
        how, error = ("lost" if deltas else "refused"), refused.code
    except TimeoutError:
        how = "left"
    return Ending(request, how, error, tuple(deltas), clock.monotonic() - started)


async def _read(pipeline: Pipeline, request: Request, deltas: list[Delta], manners: Random) -> None:
    pause = manners.choice((0.0, 0.0, 0.01, 0.3))
    async with pipeline.stream(request) as stream:
        async for delta in stream:
            deltas.append(delta)
            if pause:
                await asyncio.sleep(pause)
        assert stream.completed.run == request.run


def fingerprint(history: History) -> Sequence[bytes]:
    """Return every event's canonical bytes, run by run: equal for equal seeds."""
    return [event.canonical() for run in sorted(history.events) for event in history.events[run]]
