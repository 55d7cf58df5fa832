"""Following routes: failover, the law, budgets, deadlines, lines and streams, in simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import MappingProxyType

import pytest

from fake_pool import QUICK, data_of, prompt_of, sail, sea, usd
from fakes import Notes
from shoal.core.budget import Account
from shoal.core.errors import (
    BudgetSpent,
    CallerError,
    DeadlineSpent,
    Loss,
    NoAbleEndpoint,
    NothingPermitted,
    SetupError,
)
from shoal.core.event import Act
from shoal.core.item import Delta, TextDelta, UsageDelta
from shoal.core.money import FREE
from shoal.core.selector import Narrowing
from shoal.pool.breaker import State, Tuning
from shoal.simulation.fault import Fault, Script, Span, always, first


def text_of(seen: list[Delta]) -> str:
    return "".join(delta.text for delta in seen if isinstance(delta, TextDelta))


def test_only_quick_failures_are_tried_again_on_the_same_endpoint_and_only_without_a_peer() -> None:
    async def story() -> None:
        alone = sea(first(1, Fault.E500), None, beliefs=(0.9, 0.2))
        assert [a.endpoint for a in (await alone.follow()).attempts] == ["p0/m0", "p0/m0"]
        refused = sea(first(1, Fault.REFUSE), None, beliefs=(0.9, 0.2))
        assert [a.endpoint for a in (await refused.follow()).attempts] == ["p0/m0", "p1/m1"]
        peers = sea(first(1, Fault.E500), None, beliefs=(0.9, 0.88))
        assert [a.endpoint for a in (await peers.follow()).attempts] == ["p0/m0", "p1/m1"]

    sail(story)


def test_policy_is_asked_again_before_every_attempt_and_a_refused_endpoint_gets_no_byte() -> None:
    async def story() -> None:
        s = sea(None, first(1, Fault.E500), None)
        s.gate.forbidden.add("p0/m0")
        notes = Notes()
        served = await s.follow(notes=notes)
        assert served.endpoint.id == "p2/m2"
        assert s.gate.asked == ["p0/m0", "p1/m1", "p2/m2"]
        assert {sent.base_url for sent in s.world.network.sent} == {"http://p1.m1.sim/v1", "http://p2.m2.sim/v1"}
        refused = data_of(notes, Act.ATTEMPT_REFUSED)
        assert [(r["endpoint"], r["rules"]) for r in refused] == [("p0/m0", ["rule"])]

    sail(story)


def test_a_route_that_policy_closes_at_the_last_moment_is_refused_as_law() -> None:
    async def story() -> None:
        s = sea(None, None)
        s.gate.forbidden.update({"p0/m0", "p1/m1"})
        with pytest.raises(NothingPermitted) as refused:
            await s.follow()
        assert [c["endpoint"] for c in refused.value.detail["candidates"]] == ["p0/m0", "p1/m1"]
        assert s.world.network.sent == []

    sail(story)


def test_a_hanging_endpoint_is_paid_for_by_few_and_then_skipped() -> None:
    async def story() -> None:
        s = sea(always(Fault.HANG), None)
        waited = []
        for _ in range(6):
            began = s.clock.monotonic()
            await s.follow()
            waited.append(s.clock.monotonic() - began)
        assert [w > QUICK.first_byte_s for w in waited] == [True, True, False, False, False, False]
        assert s.pool.health("p0/m0").state is State.OPEN

    sail(story)


def test_an_open_breaker_lets_one_call_look_and_closes_when_it_succeeds() -> None:
    async def story() -> None:
        s = sea(Script(spans=(Span(Fault.RESET, 0, 3),)), None, tuning=Tuning(cool_s=5))
        for _ in range(5):
            await s.follow()
        assert s.pool.health("p0/m0").state is State.OPEN
        await asyncio.sleep(7)
        assert s.pool.ailment("p0/m0") is None
        before = s.world.providers["p0/m0"].calls
        served = await asyncio.gather(*(s.follow() for _ in range(8)))
        assert sum(r.endpoint.id == "p0/m0" for r in served) >= 1
        assert s.pool.health("p0/m0").state is State.CLOSED
        assert s.world.providers["p0/m0"].calls - before <= 8

    sail(story)


def test_retry_after_is_honoured_to_the_second() -> None:
    async def story() -> None:
        s = sea(replace(first(1, Fault.E429), retry_after_s=30.0), None)
        await s.follow()
        health = s.pool.health("p0/m0")
        assert 30 <= health.again_in_s <= 30 * 1.2 and health.cause is Loss.SCARCE
        assert s.pool.ailment("p0/m0") is not None
        await asyncio.sleep(29)
        assert (await s.follow()).endpoint.id == "p1/m1"
        await asyncio.sleep(8)
        assert (await s.follow()).endpoint.id == "p0/m0"

    sail(story)


def test_a_request_waits_for_the_only_endpoint_when_it_asks_for_little_patience() -> None:
    async def story() -> None:
        s = sea(replace(first(1, Fault.E429), retry_after_s=2.0))
        served = await s.follow()
        assert [a.succeeded for a in served.attempts] == [False, True]
        assert 2 <= served.latency_s < 5

    sail(story)


def test_a_refused_account_parks_the_endpoint_until_restored() -> None:
    async def story() -> None:
        s = sea(first(1, Fault.E401), None)
        notes = Notes()
        await s.follow(notes=notes)
        assert data_of(notes, Act.ENDPOINT_CHANGED)[0]["to"] == "parked"
        assert "parked" in (s.pool.ailment("p0/m0") or "")
        s.pool.restore("p0/m0")
        assert s.pool.ailment("p0/m0") is None
        assert (await s.follow()).endpoint.id == "p0/m0"

    sail(story)


def test_a_withdrawal_holds_for_all_only_once_a_second_call_confirms_it() -> None:
    async def story() -> None:
        s = sea(always(Fault.E451), None)
        notes = Notes()
        assert (await s.follow(notes=notes)).endpoint.id == "p1/m1"
        assert s.world.providers["p0/m0"].calls == 2
        assert [c["to"] for c in data_of(notes, Act.ENDPOINT_CHANGED)] == ["confirming", "withdrawn"]
        assert "withdrawn" in (s.pool.ailment("p0/m0") or "")

    sail(story)


def test_a_single_region_refusal_that_the_second_call_refutes_clears_itself() -> None:
    async def story() -> None:
        s = sea(first(1, Fault.E403_REGION), None)
        served = await s.follow()
        assert served.endpoint.id == "p0/m0"
        assert [a.loss for a in served.attempts] == [Loss.WITHDRAWN, None]
        assert s.pool.health("p0/m0").state is State.CLOSED

    sail(story)


def test_many_refused_at_once_confirm_with_one_call_only() -> None:
    async def story() -> None:
        s = sea(always(Fault.E451), None, limits=replace(QUICK, concurrency=50))
        served = await asyncio.gather(*(s.follow() for _ in range(40)))
        assert {r.endpoint.id for r in served} == {"p1/m1"}
        assert s.world.providers["p0/m0"].calls == 41

    sail(story)


def test_a_moderation_refusal_says_nothing_of_the_endpoint() -> None:
    async def story() -> None:
        s = sea(always(Fault.E403_MODERATION), None)
        for _ in range(8):
            assert (await s.follow()).endpoint.id == "p1/m1"
        assert s.pool.health("p0/m0").state is State.CLOSED

    sail(story)


def test_a_request_every_endpoint_finds_at_fault_is_the_callers_error() -> None:
    async def story() -> None:
        s = sea(always(Fault.E400), always(Fault.E400))
        with pytest.raises(CallerError, match="a field nobody knows"):
            await s.follow()
        assert len(s.world.network.sent) == 2

    sail(story)


def test_a_deadline_caps_every_limit_and_leaves_the_endpoint_unblamed() -> None:
    async def story() -> None:
        s = sea(always(Fault.HANG), always(Fault.HANG))
        for _ in range(4):
            began = s.clock.monotonic()
            with pytest.raises(DeadlineSpent):
                await s.follow(deadline_s=0.5)
            assert s.clock.monotonic() - began == pytest.approx(0.5, abs=0.01)
        assert s.pool.health("p0/m0").state is State.CLOSED

    sail(story)


def test_nothing_is_sent_when_the_deadline_is_over() -> None:
    async def story() -> None:
        s = sea(None)
        with pytest.raises(DeadlineSpent):
            await s.follow(deadline_s=0.0)
        assert s.world.network.sent == []

    sail(story)


def test_a_budget_is_settled_to_what_was_used() -> None:
    async def story() -> None:
        s = sea(None)
        account = Account(usd("1"))
        served = await s.follow(account=account)
        assert served.cost_usd == served.endpoint.price.cost_usd(served.answer.usage)  # type: ignore[union-attr]
        assert account.spent_usd == served.cost_usd and account.reserved_usd == 0

    sail(story)


def test_a_budget_puts_a_limit_on_the_answer_and_the_limit_holds() -> None:
    async def story() -> None:
        s = sea(None)
        account = Account(usd("0.0010"))
        await s.follow(account=account)
        assert (
            b'"max_tokens":' in s.world.network.sent[0].body
            or b'"max_completion_tokens":' in s.world.network.sent[0].body
        )
        assert account.spent_usd <= usd("0.0010")

    sail(story)


def test_a_cheaper_endpoint_is_asked_where_the_first_does_not_fit() -> None:
    async def story() -> None:
        s = sea(None, None)
        cheap = replace(s.world.endpoints[1], price=FREE)
        s.world.providers["p1/m1"].endpoint = cheap
        s.pool.replace(s.world.endpoints)
        served = await s.follow(account=Account(usd("0.000001")))
        assert served.endpoint.id == "p1/m1"

    sail(story)


def test_a_budget_too_small_for_all_sends_nothing() -> None:
    async def story() -> None:
        s = sea(None, None)
        account = Account(usd("0.000001"))
        with pytest.raises(BudgetSpent):
            await s.follow(account=account)
        assert s.world.network.sent == [] and account.reserved_usd == 0

    sail(story)


def test_an_unknown_price_is_refused_under_a_budget_and_costs_none_without() -> None:
    async def story() -> None:
        s = sea(None, price=None)
        with pytest.raises(BudgetSpent):
            await s.follow(account=Account(usd("5")))
        assert (await s.follow()).cost_usd is None

    sail(story)


def test_a_failed_attempt_costs_what_it_read_and_a_refused_one_nothing() -> None:
    async def story() -> None:
        hung = sea(first(1, Fault.HANG), None)
        account = Account(usd("1"))
        served = await hung.follow(account=account)
        assert served.attempts[0].cost_usd > 0  # type: ignore[operator]
        assert account.spent_usd == sum(a.cost_usd for a in served.attempts if a.cost_usd is not None)
        refused = sea(first(1, Fault.E500), None)
        assert (await refused.follow()).attempts[0].cost_usd == 0

    sail(story)


@pytest.mark.parametrize("streamed", [False, True])
def test_usage_that_is_not_told_is_estimated_and_says_so(streamed: bool) -> None:
    async def story() -> None:
        s = sea(None)
        s.world.providers["p0/m0"].tells_usage = False
        notes = Notes()
        seen: list[Delta] = []
        served = await s.follow(seen=seen if streamed else None, notes=notes)
        assert served.answer.usage_estimated and served.answer.usage.output > 0
        assert served.cost_usd is not None and served.cost_usd > 0
        assert data_of(notes, Act.ATTEMPT_SUCCEEDED)[0]["usage_estimated"] is True
        assert seen[-1:] == ([UsageDelta(served.answer.usage)] if streamed else [])

    sail(story)


def test_a_caller_who_leaves_cancels_upstream_at_once_and_is_booked() -> None:
    async def story() -> None:
        s = sea(always(Fault.HANG))
        notes, account = Notes(), Account(usd("1"))
        task = asyncio.create_task(s.follow(notes=notes, account=account))
        await asyncio.sleep(1)
        assert s.world.network.under_way == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert s.world.network.under_way == 0
        assert account.reserved_usd == 0 and account.spent_usd > 0
        assert notes.bodies == ["the caller left"]
        assert s.pool.health("p0/m0").in_flight == 0

    sail(story)


def test_a_reader_that_fails_is_not_the_endpoints_fault() -> None:
    async def story() -> None:
        s = sea(None, None)

        class Gone(Exception):
            pass

        async def emit(delta: Delta) -> None:
            raise Gone

        for _ in range(8):
            with pytest.raises(Gone):
                await s.pool.follow(
                    s.route(),
                    prompt_of(),
                    step="a",
                    record=Notes(),
                    account=Account(),
                    narrowing=Narrowing(),
                    emit=emit,
                )
        assert s.pool.health("p0/m0").state is State.CLOSED
        assert s.world.network.under_way == 0

    sail(story)


def test_a_slow_reader_is_never_taken_for_a_silent_endpoint() -> None:
    async def story() -> None:
        s = sea(None, limits=replace(QUICK, gap_s=0.5, total_s=600.0))
        seen: list[Delta] = []
        served = await s.follow(seen=seen, emit_s=3.0)
        assert text_of(seen) == served.answer.text

    sail(story)


def test_calls_at_once_stay_within_the_limit_and_the_rest_wait_in_line() -> None:
    async def story() -> None:
        s = sea(None, limits=replace(QUICK, concurrency=3))
        served = await asyncio.gather(*(s.follow() for _ in range(20)))
        assert len(served) == 20
        assert s.world.network.most_under_way == 3
        assert s.pool.health("p0/m0").in_flight == 0 and s.pool.health("p0/m0").waiting == 0

    sail(story)


def test_a_busy_endpoint_hands_over_to_a_peer_but_not_to_a_bungler() -> None:
    async def story() -> None:
        s = sea(None, None, None, limits=replace(QUICK, concurrency=2), beliefs=(0.9, 0.88, 0.7))
        served = await asyncio.gather(*(s.follow() for _ in range(12)))
        asked = {r.endpoint.id for r in served}
        assert asked == {"p0/m0", "p1/m1"}

    sail(story)


def test_a_lesser_endpoint_is_asked_only_once_the_better_one_has_failed() -> None:
    async def story() -> None:
        s = sea(always(Fault.HANG), None, limits=replace(QUICK, concurrency=1, first_byte_s=60), beliefs=(0.9, 0.3))
        began = s.clock.monotonic()
        first_one = asyncio.create_task(s.follow())
        await asyncio.sleep(0.1)
        assert (await s.follow()).endpoint.id == "p1/m1"
        assert s.clock.monotonic() - began >= 60  # the hang was noticed, and only then was the lesser one good enough
        first_one.cancel()
        await asyncio.wait([first_one])

    sail(story)


def test_those_in_line_go_elsewhere_when_their_endpoint_fails() -> None:
    async def story() -> None:
        s = sea(
            always(Fault.HANG), None, limits=replace(QUICK, concurrency=2), beliefs=(0.9, 0.3), tuning=Tuning(cool_s=60)
        )
        began = s.clock.monotonic()
        served = await asyncio.gather(*(s.follow() for _ in range(10)))
        assert {r.endpoint.id for r in served} == {"p1/m1"}
        assert s.world.providers["p0/m0"].calls == 2
        assert s.clock.monotonic() - began < 2 * QUICK.first_byte_s

    sail(story)


def test_hangs_are_noticed_early_once_the_pace_is_known() -> None:
    async def story() -> None:
        s = sea(Script(spans=(Span(Fault.HANG, 60, 1e9),)), None, limits=replace(QUICK, first_byte_s=60.0))
        for _ in range(25):
            await s.follow(seen=[])
        await asyncio.sleep(60)
        began = s.clock.monotonic()
        await s.follow(seen=[])
        assert 1 <= s.clock.monotonic() - began < 10

    sail(story)


def test_a_machine_that_is_suddenly_busy_is_not_taken_for_a_dead_one() -> None:
    async def story() -> None:
        s = sea(None, None, limits=replace(QUICK, first_byte_s=60.0, concurrency=64), practice=True)
        for provider in s.world.providers.values():
            provider.first_token_s = provider.token_s = 0.001
        for _ in range(30):
            await s.follow(prompt=prompt_of(max_tokens=8))
        for provider in s.world.providers.values():
            provider.first_token_s = 1.5  # a hundred at once on one small machine
        served = await asyncio.gather(*(s.follow(prompt=prompt_of(max_tokens=8)) for _ in range(100)))
        assert sum(not a.succeeded for r in served for a in r.attempts) <= 5
        assert len(served) == 100

    sail(story)


@pytest.mark.parametrize("fault", [Fault.E500, Fault.REFUSE, Fault.GARBAGE])
def test_tries_again_are_bounded_by_the_allowance(fault: Fault) -> None:
    async def story() -> None:
        s = sea(always(fault), always(fault), tuning=Tuning(failures_in_a_row=10_000, window_least=10_000))
        for _ in range(100):
            with pytest.raises(NoAbleEndpoint):
                await s.follow()
        for provider in s.world.providers.values():
            assert 100 + 10 <= provider.calls <= 100 + 10 + 0.2 * 100 + 1

    sail(story)


def test_a_route_over_endpoints_that_left_the_pool_finds_nobody() -> None:
    async def story() -> None:
        s = sea(None)
        route = s.route()
        s.pool.replace(())
        assert s.pool.ailment("p0/m0") == "it is not in the pool"
        s.beliefs = (0.9,)
        with pytest.raises(NoAbleEndpoint):
            await s.follow()
        assert route.endpoints

    sail(story)


def test_an_unknown_dialect_stops_the_start() -> None:
    async def story() -> None:
        with pytest.raises(SetupError, match="speaks `morse`"):
            sea(None, dialect="morse")

    sail(story)


def test_latency_and_stats_tell_what_happened() -> None:
    async def story() -> None:
        s = sea(first(1, Fault.E500), None)
        assert s.pool.latency() == MappingProxyType({})
        await s.follow()
        assert s.pool.latency().keys() == {"p1/m1"} and s.pool.latency()["p1/m1"] > 0
        stats = s.pool.stats()
        assert stats["p0/m0"]["failed"] == {"transient": 1}
        assert stats["p1/m1"]["succeeded"] == 1 and stats["p1/m1"]["cost_usd"] > 0

    sail(story)
