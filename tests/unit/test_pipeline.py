"""The main path: every run gets one ending, profiles narrow, streams carry the run's own errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from fakes import endpoint, request
from shoal.assembly import Gate, Vitals, wire
from shoal.catalogue.entries import Profile
from shoal.catalogue.loader import load_facts
from shoal.catalogue.snapshot import build_snapshot
from shoal.coordinator.coordinator import Coordinator
from shoal.core.errors import LedgerUnavailable, NoAbleEndpoint, NothingPermitted, UnknownModel
from shoal.core.event import ENDINGS, Act
from shoal.core.item import TextDelta, Usage
from shoal.core.request import Request
from shoal.core.selector import Narrowing, parse
from shoal.pipeline import PRACTICE_ONLY, Defaults, Pipeline
from shoal.policy.policy import Policy
from shoal.policy.rules import Rules
from shoal.pool.pool import Pool
from shoal.simulation.clock import SimulatedClock, simulate
from shoal.simulation.fault import Fault, always
from shoal.simulation.journal import MemoryJournal
from shoal.simulation.world import World

NARROW = Profile("kr", Narrowing(only=(parse("host:KR"),)), budget_usd=Decimal("0.001"), deadline_s=5.0)


@asynccontextmanager
async def house(
    *, deny: tuple[str, ...] = (), practice: bool = False, broken: str | None = None
) -> AsyncIterator[tuple[Pipeline, MemoryJournal]]:
    world = World(1)
    for name, country in (("acme/seoul", "KR"), ("acme/paris", "FR")):
        world.add(replace(endpoint(name, country), practice=practice, skills=frozenset({"add"}) if practice else None))
    if broken is not None:
        world.script(broken, always(Fault.GARBAGE))
    clock, policy, coordinator = SimulatedClock(), Policy.compile(Rules(deny=deny)), Coordinator()
    journal = MemoryJournal(clock)
    pool = Pool(
        world.endpoints,
        transport=world.network,
        clock=clock,
        random_for=world.random_for,
        secret=lambda name: None,
        gate=Gate(policy),
    )
    snapshot = build_snapshot(load_facts(), (), world.endpoints, profiles=(NARROW,))
    yield wire(snapshot, policy, coordinator, pool, Vitals(pool, {}), journal, clock, Defaults()), journal


def test_a_run_is_told_from_start_to_end() -> None:
    async def run() -> list[Act]:
        async with house() as (pipeline, journal):
            asked = request("hello there", explain=True)
            completed = await pipeline.answer(asked)
            assert completed.explain is not None and completed.explain["run"] == asked.run
            assert completed.usage_shoal["calls"] == 1
            return [event.action for event in journal.events[asked.run]]

    acts = simulate(run())
    assert acts[:4] == [Act.RUN_STARTED, Act.RUN_LABELLED, Act.RUN_JUDGED, Act.RUN_PLANNED]
    assert acts[-1] is Act.RUN_FINISHED


def test_usage_counts_what_failed_attempts_used_too() -> None:
    async def run(broken: str) -> int:
        async with house(broken=broken) as (pipeline, journal):
            completed = await pipeline.answer(request("hello there"))
            events = journal.events[completed.run]
            closed = [e for e in events if e.action in (Act.ATTEMPT_SUCCEEDED, Act.ATTEMPT_FAILED)]
            assert completed.usage_total == sum((Usage(**e.data["usage"]) for e in closed), Usage())
            assert completed.cost_usd == sum((e.data["cost_usd"] for e in closed), Decimal(0))
            assert events[-1].data["output_tokens"] == completed.usage_total.output
            failed = [e for e in closed if e.action is Act.ATTEMPT_FAILED]
            assert all(e.data["usage"]["input"] > 0 and e.data["usage_estimated"] for e in failed)
            return len(failed)

    assert sum(simulate(run(broken)) for broken in ("acme/paris", "acme/seoul")) > 0, "one of them is asked first"


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (request("hello", model="shoal/none"), UnknownModel),
        (request("hello", narrowing=Narrowing(only=(parse("host:AQ"),))), NothingPermitted),
    ],
)
def test_a_refused_run_has_an_ending_too(asked: Request, error: type[Exception]) -> None:
    async def run() -> list[Act]:
        async with house() as (pipeline, journal):
            with pytest.raises(error):
                await pipeline.answer(asked)
            return [event.action for event in journal.events[asked.run]]

    acts = simulate(run())
    assert acts[-1] is Act.RUN_FAILED
    assert sum(act in ENDINGS for act in acts) == 1


def test_a_profile_narrows_and_bounds_but_never_widens() -> None:
    async def run() -> str:
        async with house() as (pipeline, _):
            completed = await pipeline.answer(request("hello", model="shoal/kr", budget_usd=Decimal(1)))
            with pytest.raises(NothingPermitted):
                await pipeline.answer(
                    request("hello", model="shoal/kr", narrowing=Narrowing(exclude=(parse("host:KR"),)))
                )
            return completed.served_by

    assert simulate(run()) == "acme/seoul"


def test_a_denied_country_is_never_asked_even_by_name() -> None:
    async def run() -> None:
        async with house(deny=("host:FR",)) as (pipeline, _):
            assert (await pipeline.answer(request("hello"))).served_by == "acme/seoul"
            with pytest.raises(NothingPermitted) as refused:
                await pipeline.answer(request("hello", model="acme/paris"))
            assert refused.value.detail["candidates"][0]["rules"] == ["deny host:FR"]

    simulate(run())


def test_a_practice_pool_says_what_it_is_for() -> None:
    async def run() -> None:
        async with house(practice=True) as (pipeline, _):
            with pytest.raises(NoAbleEndpoint) as refused:
                await pipeline.answer(request("write a poem"))
            assert refused.value.message == PRACTICE_ONLY

    simulate(run())


def test_without_a_journal_no_new_run_is_taken() -> None:
    async def run() -> None:
        async with house() as (pipeline, journal):
            journal.healthy = False
            with pytest.raises(LedgerUnavailable):
                await pipeline.answer(request("hello"))

    simulate(run())


def test_a_stream_says_who_serves_with_its_first_delta() -> None:
    async def run() -> str:
        async with house() as (pipeline, _), pipeline.stream(request("hello", model="acme/paris")) as stream:
            texts = []
            async for delta in stream:
                assert stream.served_by == "acme/paris"
                if isinstance(delta, TextDelta):
                    texts.append(delta.text)
            assert stream.completed.answer.text == "".join(texts)
            return stream.mode

    assert simulate(run()) == "direct"


def test_leaving_a_stream_cancels_the_run_and_says_so() -> None:
    async def run() -> Act:
        async with house() as (pipeline, journal):
            asked = request("hello", model="acme/paris")
            async with pipeline.stream(asked) as stream:
                async for _ in stream:
                    break
            return journal.events[asked.run][-1].action

    assert simulate(run()) is Act.RUN_CANCELLED


def test_an_error_of_the_run_reaches_whoever_reads_the_stream() -> None:
    async def run() -> None:
        async with house() as (pipeline, _), pipeline.stream(request("hello", model="nobody/here")) as stream:
            with pytest.raises(UnknownModel):
                async for _ in stream:
                    raise AssertionError("nothing can come")

    simulate(run())
