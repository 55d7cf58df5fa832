"""Values of core: money is exact, events are canonical, names of runs sort, labels only grow, steps see little."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fakes import request
from shoal.core.event import Act, Event, canonical, digest
from shoal.core.identity import is_run, new_run
from shoal.core.item import Image, Message, Speaker, Text, Usage, say
from shoal.core.label import Label
from shoal.core.money import Price, Tier
from shoal.core.plan import Step
from shoal.core.request import Prompt, Request


def test_a_cost_is_exact_to_the_last_digit() -> None:
    price = Price(Decimal("0.1"), Decimal("0.3"), Decimal("0.01"))
    assert price.cost_usd(Usage(input=3, output=1, cached=1)) == Decimal("5.1E-7")


def test_a_price_in_another_currency_is_paid_in_dollars() -> None:
    price = Price(Decimal(1000), Decimal(2000), currency="KRW", usd_per_unit=Decimal("0.0007"))
    assert price.cost_usd(Usage(input=1_000_000)) == Decimal("0.7")


def test_a_long_prompt_pays_the_tier_it_reaches() -> None:
    price = Price(Decimal(1), Decimal(2), tiers=(Tier(1000, Decimal(3), Decimal(6)), Tier(100, Decimal(2), Decimal(4))))
    assert [price.cost_usd(Usage(input=n)) * 1_000_000 for n in (100, 101, 1001)] == [100, 202, 3003]


def test_cached_tokens_cost_the_full_price_where_no_other_is_known() -> None:
    assert Price(Decimal(1), Decimal(1)).cost_usd(Usage(input=10, cached=10)) == Decimal("0.00001")


def test_usage_adds_up() -> None:
    assert Usage(1, 2, 3, 4) + Usage(10, 20, 30, 40) == Usage(11, 22, 33, 44)
    assert Usage(1, 2).total == 3


def test_the_same_event_is_the_same_bytes() -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    one = Event("local", "run_x", 0, Act.RUN_STARTED, at, data={"b": Decimal("0.10"), "a": {"z", "y"}})
    other = Event("local", "run_x", 0, Act.RUN_STARTED, at, data={"a": {"y", "z"}, "b": Decimal("0.10")})
    assert one.canonical() == other.canonical()
    assert b'"b":"0.10"' in one.canonical()
    assert digest(one.canonical()) == digest(other.canonical())


def test_what_an_event_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical({"x": object()})


def test_names_of_runs_are_unique_sort_by_time_and_are_safe_in_urls() -> None:
    names = [new_run() for _ in range(500)]
    assert len(set(names)) == 500
    assert all(is_run(name) for name in names)
    assert names[0][:10] <= names[-1][:10]
    assert not is_run("run_../../etc/passwd") and not is_run("run_" + "A" * 26)


def test_a_label_covers_what_it_was_joined_from() -> None:
    one, other = Label(subjects=frozenset({"KR"}), personal=True), Label(sectors=frozenset({"finance"}), minor=True)
    joined = one.join(other)
    assert joined.covers(one) and joined.covers(other) and not one.covers(other)
    assert joined.as_dict()["subjects"] == ["KR"]


def test_a_step_shows_only_what_it_may_see() -> None:
    step = Step("c", task="{a} and {b} and {c}", sees=("a",))
    assert step.render({"a": "{b}", "b": "secret"}) == "{b} and {b} and {c}"


def test_the_question_is_the_last_thing_the_user_said() -> None:
    items = (say("first"), say("an answer", Speaker.ASSISTANT), say("second"))
    assert Request("r", "shoal", Prompt(items)).question == "second"
    assert Request("r", "shoal", Prompt(())).question == ""


def test_a_single_turn_is_one_user_message_of_text() -> None:
    assert request("hello").is_single_turn
    picture = Message(Speaker.USER, (Text("look"), Image("https://example.org/a.png")))
    assert not Request("r", "shoal", Prompt((picture,))).is_single_turn
    assert not Request("r", "shoal", Prompt((say("be brief", Speaker.SYSTEM), say("hello")))).is_single_turn
