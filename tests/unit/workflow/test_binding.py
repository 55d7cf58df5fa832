"""Binding: the order of the masks, and errors that name every endpoint left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from fakes import endpoint, request
from shoal.core.endpoint import Endpoint
from shoal.core.errors import NoAbleEndpoint, NothingPermitted
from shoal.core.label import NOTHING, Label
from shoal.core.plan import Features, Need, Ranked, State, Step
from shoal.core.selector import Narrowing
from shoal.core.verdict import Action, Effect, Verdict
from shoal.workflow.binding import Binder

FOUR = tuple(endpoint(f"acme/{name}") for name in ("forbidden", "unskilled", "ill", "well"))


class House:
    """Policy, coordinator and pool in one: each objects to one endpoint."""

    def judge_all(
        self, endpoints: Sequence[Endpoint], label: Label, narrowing: Narrowing, *, action: Action = Action.SEND_RAW
    ) -> tuple[Verdict, ...]:
        return tuple(
            Verdict(e.id, Effect.FORBID, ("deny host:KR",), reason="the operator says no")
            if "forbidden" in e.id or label.personal
            else Verdict(e.id, Effect.PERMIT)
            for e in endpoints
        )

    def unable(self, endpoint: Endpoint, need: Need, features: Features) -> str | None:
        return "it was not taught" if "unskilled" in endpoint.id else None

    def rank(
        self, state: State, step: Step, endpoints: Sequence[Endpoint], latency: Mapping[str, float]
    ) -> tuple[Ranked, ...]:
        return tuple(Ranked(e, 1.0, 0.5) for e in endpoints)

    def ailment(self, endpoint_id: str) -> str | None:
        return "its breaker is open" if "ill" in endpoint_id else None

    def latency(self) -> Mapping[str, float]:
        return {}


BINDER = Binder(House(), House(), House())


def state(*endpoints: Endpoint) -> State:
    return State(request("hello"), Features(), endpoints)


def test_every_endpoint_left_out_is_named_with_the_mask_that_took_it() -> None:
    route = BINDER.bind(state(*FOUR), Step("s"), NOTHING, None)
    assert [e.id for e in route.endpoints] == ["acme/well"]
    assert [(o.endpoint, o.mask) for o in route.objections] == [
        ("acme/forbidden", "policy"),
        ("acme/unskilled", "capability"),
        ("acme/ill", "health"),
    ]


def test_where_policy_forbids_all_the_refusal_lists_them_all() -> None:
    with pytest.raises(NothingPermitted) as refused:
        BINDER.bind(state(*FOUR), Step("s"), Label(personal=True), None)
    assert [c["endpoint"] for c in refused.value.detail["candidates"]] == [e.id for e in FOUR]
    assert "`deny host:KR`" in refused.value.message


def test_where_nobody_is_able_the_error_says_who_and_why() -> None:
    with pytest.raises(NoAbleEndpoint, match="1 by capability, 1 by health, 1 by policy") as refused:
        BINDER.bind(state(*FOUR[:3]), Step("s"), NOTHING, None)
    assert {o["reason"] for o in refused.value.detail["objections"]} == {
        "the operator says no",
        "it was not taught",
        "its breaker is open",
    }


def test_an_unknown_price_is_left_out_only_under_a_budget() -> None:
    unpriced = endpoint("acme/well", price=None)
    assert BINDER.bind(state(unpriced), Step("s"), NOTHING, None).endpoints
    with pytest.raises(NoAbleEndpoint, match="1 by budget"):
        BINDER.bind(state(unpriced), Step("s"), NOTHING, Decimal(1))


def test_a_step_may_avoid_an_endpoint_or_insist_on_one() -> None:
    here = state(endpoint("acme/one"), endpoint("acme/two"))
    avoiding = BINDER.bind(here, Step("s", need=Need(avoid=frozenset({"acme/one"}))), NOTHING, None)
    assert [e.id for e in avoiding.endpoints] == ["acme/two"]
    insisting = BINDER.bind(here, Step("s", need=Need(endpoints=frozenset({"acme/one"}))), NOTHING, None)
    assert [e.id for e in insisting.endpoints] == ["acme/one"]
