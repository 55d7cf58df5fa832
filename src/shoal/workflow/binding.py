"""Binding: which endpoints may run this step, in which order, decided at the moment the step starts.

Knows the order of the masks (policy, capability, health, budget) and nothing of how any of them decides. Every
endpoint that is left out is on the route's list of objections with the mask that took it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from shoal.core.endpoint import Endpoint
from shoal.core.errors import NoAbleEndpoint, NothingPermitted
from shoal.core.label import Label
from shoal.core.plan import Features, Need, Objection, Ranked, Route, State, Step
from shoal.core.selector import Narrowing
from shoal.core.verdict import Action, Verdict


class Judge(Protocol):
    """Policy: one verdict per endpoint, in order; never raises."""

    def judge_all(
        self, endpoints: Sequence[Endpoint], label: Label, narrowing: Narrowing, *, action: Action = Action.SEND_RAW
    ) -> tuple[Verdict, ...]:
        """Judge every endpoint."""


class Ranker(Protocol):
    """The coordinator's opinion of endpoints."""

    def unable(self, endpoint: Endpoint, need: Need, features: Features) -> str | None:
        """Return why the endpoint cannot do it, or None."""

    def rank(
        self, state: State, step: Step, endpoints: Sequence[Endpoint], latency: Mapping[str, float]
    ) -> tuple[Ranked, ...]:
        """Return the endpoints, best first."""


class Vitals(Protocol):
    """The pool's knowledge of who is alive."""

    def ailment(self, endpoint_id: str) -> str | None:
        """Return why the endpoint cannot be asked now, or None."""

    def latency(self) -> Mapping[str, float]:
        """Return typical seconds by endpoint, where known."""


class Binder:
    """Binds steps to routes."""

    def __init__(self, judge: Judge, ranker: Ranker, vitals: Vitals) -> None:
        self._judge = judge
        self._ranker = ranker
        self._vitals = vitals

    def bind(self, state: State, step: Step, label: Label, left_usd: Decimal | None) -> Route:
        """Return the route of a step whose data carries `label`.

        Raises:
            NothingPermitted: policy forbids every candidate for this label.
            NoAbleEndpoint: permitted endpoints exist, but none can or none is alive.
        """
        narrowing = state.request.narrowing
        verdicts = self._judge.judge_all(state.candidates, label, narrowing)
        if not any(v.is_permit for v in verdicts):
            raise nothing_permitted(state.request.run, verdicts, label, step.id)
        able: list[Endpoint] = []
        objections: list[Objection] = []
        for endpoint, verdict in zip(state.candidates, verdicts, strict=True):
            objection = self._objection(endpoint, verdict, step, state.features, left_usd)
            if objection is None:
                able.append(endpoint)
            else:
                objections.append(objection)
        if not able:
            raise no_able_endpoint(objections, step)
        return Route(self._ranker.rank(state, step, able, self._vitals.latency()), tuple(objections))

    def _objection(
        self, endpoint: Endpoint, verdict: Verdict, step: Step, features: Features, left_usd: Decimal | None
    ) -> Objection | None:
        if not verdict.is_permit:
            return Objection(endpoint.id, "policy", verdict.reason or ", ".join(verdict.rules))
        need = step.need
        if need.endpoints is not None and endpoint.id not in need.endpoints:
            return Objection(endpoint.id, "plan", "another endpoint was asked for by name")
        if endpoint.id in need.avoid:
            return Objection(endpoint.id, "plan", "its earlier answer is being replaced")
        reason = self._ranker.unable(endpoint, need, features)
        if reason is not None:
            return Objection(endpoint.id, "capability", reason)
        ailment = self._vitals.ailment(endpoint.id)
        if ailment is not None:
            return Objection(endpoint.id, "health", ailment)
        if left_usd is not None and endpoint.price is None:
            return Objection(endpoint.id, "budget", "its price is unknown and the request has a budget")
        return None


def nothing_permitted(run: str, verdicts: Sequence[Verdict], label: Label, step: str | None = None) -> NothingPermitted:
    """Return the error that lists every candidate with the rules that forbid it."""
    rules = sorted({rule for v in verdicts for rule in v.rules})
    named = ", ".join(f"`{rule}`" for rule in rules[:5]) + (" and others" if len(rules) > 5 else "")
    return NothingPermitted(
        f"policy forbids all {len(verdicts)} candidates" + (f" by {named}" if rules else "") + "; "
        "loosen the request's own `only`/`exclude`, or see [policy] in shoal.toml",
        detail={"run": run, "candidates": [v.as_dict() for v in verdicts], "step": step, "label": label.as_dict()},
    )


def no_able_endpoint(objections: Sequence[Objection], step: Step) -> NoAbleEndpoint:
    """Return the error that says, for each endpoint, which mask took it away."""
    masks: dict[str, int] = {}
    for objection in objections:
        masks[objection.mask] = masks.get(objection.mask, 0) + 1
    counted = ", ".join(f"{n} by {mask}" for mask, n in sorted(masks.items()))
    listed = [{"endpoint": o.endpoint, "mask": o.mask, "reason": o.reason} for o in objections]
    return NoAbleEndpoint(
        f"no able endpoint is left for step `{step.id}` ({counted or 'the pool is empty'}); "
        "`shoal doctor` shows each endpoint's state",
        detail={"objections": listed},
    )
