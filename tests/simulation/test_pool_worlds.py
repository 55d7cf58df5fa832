"""Whole worlds against the pool: whatever goes wrong, the same laws hold, and the same seed tells it again."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType

import pytest

from fake_pool import Gate, Sea, prompt_of, sail, sea
from fakes import Notes
from shoal.core.budget import Account
from shoal.core.errors import BudgetSpent, DeadlineSpent, NoAbleEndpoint, ShoalError
from shoal.core.event import Act
from shoal.core.item import Delta, FinishDelta
from shoal.pool.pool import Pool
from shoal.simulation.clock import SimulatedClock
from shoal.simulation.fault import Fault, Script, Span
from shoal.simulation.world import make_world


@dataclass
class Story:
    """One request of a simulated day, and how it ended."""

    notes: Notes
    account: Account
    seen: list[Delta]
    ending: str
    took_s: float


def world_of(seed: int) -> Sea:
    world, gate, clock = make_world(seed, endpoints=5), Gate(), SimulatedClock()
    random = world.random_for("law")
    gate.forbidden.add(random.choice(world.endpoints).id)
    pool = Pool(
        world.endpoints,
        transport=world.network,
        clock=clock,
        random_for=world.random_for,
        secret=lambda name: None,
        gate=gate,
    )
    return Sea(world, pool, gate, clock, tuple(random.uniform(0.3, 1) for _ in world.endpoints))


async def one(s: Sea, number: int) -> Story:
    random = s.world.random_for(f"request {number}")
    await asyncio.sleep(random.uniform(0, 600))
    limit = random.choice([None, Decimal("0.01"), Decimal("0.0004")])
    notes, account, seen = Notes(), Account(limit), list[Delta]()
    streamed = random.random() < 0.5
    began = s.clock.monotonic()
    task = asyncio.create_task(
        s.follow(
            notes=notes,
            account=account,
            seen=seen if streamed else None,
            deadline_s=random.choice([None, 30.0, 1.0]),
            prompt=prompt_of("how deep? " * random.randint(1, 20), random.choice([None, 64])),
        )
    )
    if random.random() < 0.05:
        await asyncio.sleep(random.uniform(0, 1))
        task.cancel()
    try:
        ending = (await task).endpoint.id
    except ShoalError as error:
        ending = type(error).__name__
    except asyncio.CancelledError:
        ending = "cancelled"
    return Story(notes, account, seen, ending, s.clock.monotonic() - began)


def day(seed: int) -> list[Story]:
    """Live through a day of one seed, check it, and return its stories."""

    async def story() -> list[Story]:
        s = world_of(seed)
        stories = await asyncio.gather(*(one(s, number) for number in range(150)))
        try:
            check(s, stories)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        return stories

    return sail(story)


def check(s: Sea, stories: list[Story]) -> None:
    """Look at everything that happened and object to what must not."""
    forbidden = {e.base_url for e in s.world.endpoints if e.id in s.gate.forbidden}
    assert not [sent for sent in s.world.network.sent if sent.base_url in forbidden], "bytes without a permit"
    assert s.world.network.under_way == 0, "a connection was left open"
    for endpoint in s.world.endpoints:
        health = s.pool.health(endpoint.id)
        assert (health.in_flight, health.waiting) == (0, 0), "a seat was left taken"
    for story in stories:
        account = story.account
        assert account.reserved_usd == 0
        assert account.limit_usd is None or account.spent_usd <= account.limit_usd
        ends = Counter[int]()
        began = Counter[int]()
        for act, _, data in story.notes.events:
            if act is Act.ATTEMPT_STARTED:
                began[data["number"]] += 1
            elif act in (Act.ATTEMPT_SUCCEEDED, Act.ATTEMPT_FAILED):
                ends[sum(began.values())] += 1
        assert began == ends and set(began.values()) <= {1}, "an attempt without an end, or two"
        booked = sum(
            (data["cost_usd"] for act, _, data in story.notes.events if data.get("cost_usd") is not None), Decimal(0)
        )
        assert booked == account.spent_usd, "the journal and the account disagree"
        finished = any(isinstance(delta, FinishDelta) for delta in story.seen)
        assert not finished or story.ending not in ("StreamLost", "DeadlineSpent"), "a lost stream ended cleanly"
        assert story.took_s < 120


def test_the_laws_hold_in_every_world(request: pytest.FixtureRequest) -> None:
    seeds = request.config.getoption("--seeds")
    endings: Counter[str] = Counter()
    for seed in range(seeds):
        endings.update(story.ending for story in day(seed))
    assert sum(count for name, count in endings.items() if "/" in name) > 0.7 * endings.total()


def test_the_same_seed_tells_the_same_story() -> None:
    def told() -> list[tuple[str, float, tuple[Act, ...]]]:
        return [(story.ending, story.took_s, tuple(story.notes.acts())) for story in day(3)]

    assert told() == told()


def test_no_client_sees_two_endpoints_die_under_five_hundred_requests() -> None:
    async def story() -> None:
        dead = Script(MappingProxyType({}), (Span(Fault.REFUSE, 1.0, 1e9), Span(Fault.RESET, 1.0, 1e9)))
        s = sea(dead, dead, None, None, limits=replace(make_world(1).endpoints[0].limits, concurrency=16))
        accounts: defaultdict[int, Account] = defaultdict(Account)

        async def ask(number: int) -> str:
            await asyncio.sleep(number / 250)
            return (await s.follow(account=accounts[number], deadline_s=60)).endpoint.id

        served = Counter(await asyncio.gather(*(ask(n) for n in range(500))))
        assert served.total() == 500 and set(served) >= {"p2/m2", "p3/m3"}

    sail(story)


def test_with_nobody_left_the_error_comes_within_the_deadline() -> None:
    async def story() -> None:
        s = sea(*(Script(spans=(Span(Fault.REFUSE, 0, 1e9),)) for _ in range(3)))
        for _ in range(20):
            began = s.clock.monotonic()
            with pytest.raises((NoAbleEndpoint, DeadlineSpent)):
                await s.follow(deadline_s=10)
            assert s.clock.monotonic() - began <= 10

    sail(story)


def test_side_by_side_requests_never_overdraw_one_account() -> None:
    async def story() -> None:
        s = sea(None, None, None)
        account = Account(Decimal("0.0020"))

        async def ask() -> bool:
            try:
                await s.follow(account=account, prompt=prompt_of("x" * 100, 200))
            except BudgetSpent:
                return False
            return True

        served = await asyncio.gather(*(ask() for _ in range(60)))
        assert any(served) and not all(served)
        assert account.spent_usd <= Decimal("0.0020") and account.reserved_usd == 0

    sail(story)
