"""Views: a reading of a run's events for people and for `GET /v1/runs/{id}`.

A pure function from events to values; it needs no database, so a run in flight and a stored one read alike. Costs are
exact: a step costs what its attempts cost, a run what its steps cost, and one unknown price makes the sum unknown
while `spent_usd` still says what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from shoal.core.event import Act, Event

ZERO = Decimal(0)
UNTOLD = "its text is not kept"
RUN_STATUS: Mapping[Act, str] = {
    Act.RUN_FINISHED: "finished",
    Act.RUN_FAILED: "failed",
    Act.RUN_CANCELLED: "cancelled",
}
ATTEMPT_STATUS: Mapping[Act, str] = {
    Act.ATTEMPT_STARTED: "running",
    Act.ATTEMPT_SUCCEEDED: "succeeded",
    Act.ATTEMPT_FAILED: "failed",
    Act.ATTEMPT_REFUSED: "refused",
}
STEP_STATUS: Mapping[Act, str] = {Act.STEP_FINISHED: "finished", Act.STEP_FAILED: "failed"}


@dataclass(slots=True)
class AttemptView:
    """One try at one endpoint."""

    number: int | None
    endpoint: str
    status: str
    cost_usd: Decimal | None = ZERO
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "number": self.number,
            "endpoint": self.endpoint,
            "status": self.status,
            "cost_usd": _text(self.cost_usd),
            **self.details,
        }


@dataclass(slots=True)
class StepView:
    """One step: what it needed, where it could have gone, where it went."""

    id: str
    role: str = "solver"
    status: str = "planned"
    endpoint: str | None = None
    review: str | None = None
    error: str | None = None
    output: str | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    route: Sequence[Mapping[str, Any]] = ()
    objections: Sequence[Mapping[str, Any]] = ()
    rebound: int = 0
    attempts: list[AttemptView] = field(default_factory=list)

    @property
    def cost_usd(self) -> Decimal | None:
        """What the attempts cost together; None where one price is unknown."""
        return total(attempt.cost_usd for attempt in self.attempts)

    @property
    def spent_usd(self) -> Decimal:
        """The known part of the cost."""
        return sum((attempt.cost_usd for attempt in self.attempts if attempt.cost_usd is not None), ZERO)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "id": self.id,
            "role": self.role,
            "status": self.status,
            "endpoint": self.endpoint,
            "cost_usd": _text(self.cost_usd),
            "review": self.review,
            "error": self.error,
            "output": self.output,
            "plan": dict(self.plan),
            "route": [dict(r) for r in self.route],
            "objections": [dict(o) for o in self.objections],
            "rebound": self.rebound,
            "attempts": [attempt.as_dict() for attempt in self.attempts],
        }


@dataclass(slots=True)
class RunView:
    """One run's story; built once by `view`, then only read."""

    run: str
    tenant_id: str
    started_at: datetime
    ended_at: datetime | None = None
    status: str = "running"
    opening: Mapping[str, Any] = field(default_factory=dict)
    label: Mapping[str, Any] = field(default_factory=dict)
    permitted: Sequence[str] = ()
    refused: Sequence[Mapping[str, Any]] = ()
    template: str | None = None
    final: str | None = None
    grounds: Any = None
    closing: Mapping[str, Any] = field(default_factory=dict)
    changes: list[Mapping[str, Any]] = field(default_factory=list)
    steps: list[StepView] = field(default_factory=list)

    @property
    def owner(self) -> str | None:
        """The key that owns the run."""
        return self.opening.get("owner")

    @property
    def model(self) -> str | None:
        """The client's own word for what it wanted."""
        return self.opening.get("model")

    @property
    def served_by(self) -> str | None:
        """The endpoint whose text is the answer."""
        return self.closing.get("served_by")

    @property
    def cost_usd(self) -> Decimal | None:
        """What every attempt of every step cost together; None where one price is unknown."""
        return total(step.cost_usd for step in self.steps)

    @property
    def calls(self) -> int:
        """How many attempts left for a provider."""
        return sum(attempt.status != "refused" for step in self.steps for attempt in step.attempts)

    @property
    def spent_usd(self) -> Decimal:
        """The known part of the cost."""
        return sum((step.spent_usd for step in self.steps), ZERO)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `GET /v1/runs/{id}` gives them."""
        known = ("model", "effort", "stream", "pool", "policy", "prompt")
        return {
            "run": self.run,
            "status": self.status,
            "started_at": self.started_at.isoformat(),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            **{name: self.opening.get(name) for name in known},
            "mode": self.template,
            "served_by": self.served_by,
            "cost_usd": _text(self.cost_usd),
            "spent_usd": _text(self.spent_usd),
            "calls": self.calls,
            "label": dict(self.label),
            "candidates": {"permitted": list(self.permitted), "refused": [dict(r) for r in self.refused]},
            "grounds": self.grounds,
            "final": self.final,
            "steps": [step.as_dict() for step in self.steps],
            "changes": [_plain(change) for change in self.changes],
            "end": _plain(self.closing),
        }


def view(events: Sequence[Event], texts: Mapping[str, Any] | None = None) -> RunView:
    """Return the story that the events of one run tell; it may still be going on.

    Events name what went wrong by hash; `texts` are the bodies that are kept, and what is not among them stays untold.
    """
    first = events[0]
    seen = RunView(first.run, first.tenant_id, first.at)
    steps: dict[str, StepView] = {}
    for event in (_worded(event, texts or {}) for event in events):
        if event.action is Act.ENDPOINT_CHANGED:
            seen.changes.append({"step": event.step, **event.data})
        elif event.step is not None:
            step = steps.get(event.step)
            if step is None:
                step = steps[event.step] = StepView(event.step)
            _tell_step(step, event)
        else:
            _tell_run(seen, steps, event)
    seen.steps = list(steps.values())
    return seen


def _worded(event: Event, texts: Mapping[str, Any]) -> Event:
    """Return the event with its error in words; an error whose body is not kept is said to be so."""
    if "error" not in event.data:
        return event
    said = texts.get(event.data["error"])
    return replace(event, data={**event.data, "error": UNTOLD if said is None else str(said)})


def _tell_run(seen: RunView, steps: dict[str, StepView], event: Event) -> None:
    data = event.data
    match event.action:
        case Act.RUN_STARTED:
            seen.opening = data
        case Act.RUN_LABELLED:
            seen.label = data.get("label", {})
        case Act.RUN_JUDGED:
            seen.permitted = data.get("permitted", ())
            seen.refused = data.get("refused", ())
        case Act.RUN_PLANNED:
            seen.template, seen.final, seen.grounds = data.get("template"), data.get("final"), data.get("grounds")
            for plan in data.get("steps", ()):
                step = steps.setdefault(plan["id"], StepView(plan["id"]))
                step.plan, step.role = plan, plan.get("role", step.role)
        case Act.RUN_FINISHED | Act.RUN_FAILED | Act.RUN_CANCELLED:
            seen.status, seen.ended_at, seen.closing = RUN_STATUS[event.action], event.at, data
            for step in steps.values():
                if step.status == "running":
                    step.status = "cancelled"


def _tell_step(step: StepView, event: Event) -> None:
    data = event.data
    match event.action:
        case Act.STEP_BOUND | Act.STEP_REBOUND:
            step.status = "running"
            step.role = data.get("role", step.role)
            step.route = data.get("route", step.route)
            step.objections = data.get("objections", step.objections)
            step.rebound += event.action is Act.STEP_REBOUND
        case Act.STEP_FINISHED | Act.STEP_FAILED:
            step.status = STEP_STATUS[event.action]
            step.endpoint = data.get("endpoint", step.endpoint)
            step.output = data.get("output")
            step.error = data.get("error")
        case Act.STEP_REVIEWED:
            step.review = data.get("review")
        case Act.ATTEMPT_STARTED | Act.ATTEMPT_SUCCEEDED | Act.ATTEMPT_FAILED | Act.ATTEMPT_REFUSED:
            _tell_attempt(step, event)


def _tell_attempt(step: StepView, event: Event) -> None:
    data = event.data
    going_on = [a for a in step.attempts if a.status == "running" and a.number == event.attempt]
    if event.action is Act.ATTEMPT_STARTED or not going_on:
        attempt = AttemptView(event.attempt, data.get("endpoint", ""), "running")
        step.attempts.append(attempt)
    else:
        attempt = going_on[-1]
    attempt.status = ATTEMPT_STATUS[event.action]
    attempt.endpoint = data.get("endpoint", attempt.endpoint)
    if "cost_usd" in data:
        attempt.cost_usd = _money(data["cost_usd"])
    for name, value in data.items():
        if name not in ("endpoint", "cost_usd"):  # `status` is what the endpoint answered, not how the attempt ended
            attempt.details["upstream_status" if name == "status" else name] = _plain(value)


def total(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Return the exact sum, or None where a part is unknown."""
    found = list(costs)
    known = [cost for cost in found if cost is not None]
    return sum(known, ZERO) if len(known) == len(found) else None


def _money(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _text(money: Decimal | None) -> str | None:
    return None if money is None else format(money, "f")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
