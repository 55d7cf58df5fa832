"""Views: a run's events read as a story."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fakes import Still
from shoal.core.event import Act, Event
from shoal.ledger.views import view


def story(*told: tuple[Act, dict[str, Any], str | None, int | None]) -> list[Event]:
    at = Still().now()
    return [
        Event("local", "run_a", n, act, at, step, attempt, data) for n, (act, data, step, attempt) in enumerate(told)
    ]


OPENING = (Act.RUN_STARTED, {"model": "shoal-deep", "effort": "deep", "owner": "key-1", "policy": "p1"}, None, None)
PLAN = (
    Act.RUN_PLANNED,
    {
        "template": "solve_verify",
        "final": "solve",
        "steps": [{"id": "solve", "role": "solver"}, {"id": "check", "role": "verifier"}],
    },
    None,
    None,
)


def test_a_run_that_fails_over_shows_both_attempts_and_their_cost() -> None:
    seen = view(
        story(
            OPENING,
            PLAN,
            (Act.STEP_BOUND, {"role": "solver", "route": [{"endpoint": "a/x"}, {"endpoint": "b/y"}]}, "solve", None),
            (Act.ATTEMPT_STARTED, {"endpoint": "a/x"}, "solve", 0),
            (Act.ATTEMPT_FAILED, {"endpoint": "a/x", "loss": "transient", "cost_usd": Decimal("0.1")}, "solve", 0),
            (Act.ATTEMPT_STARTED, {"endpoint": "b/y"}, "solve", 1),
            (Act.ATTEMPT_SUCCEEDED, {"endpoint": "b/y", "cost_usd": "0.2", "latency_s": 1.5}, "solve", 1),
            (Act.STEP_FINISHED, {"endpoint": "b/y", "output": "hash"}, "solve", None),
            (Act.RUN_FINISHED, {"served_by": "b/y", "cost_usd": Decimal("0.3")}, None, None),
        )
    )
    solve, check = seen.steps
    assert [(a.endpoint, a.status) for a in solve.attempts] == [("a/x", "failed"), ("b/y", "succeeded")]
    assert solve.attempts[0].details["loss"] == "transient"
    assert solve.endpoint == "b/y" and solve.status == "finished" and check.status == "planned"
    assert seen.cost_usd == Decimal("0.3") and seen.status == "finished" and seen.owner == "key-1"


def test_one_unknown_price_makes_the_total_unknown_and_keeps_what_is_known() -> None:
    seen = view(
        story(
            OPENING,
            (Act.ATTEMPT_SUCCEEDED, {"endpoint": "a/x", "cost_usd": None}, "one", 0),
            (Act.ATTEMPT_SUCCEEDED, {"endpoint": "a/x", "cost_usd": "0.25"}, "two", 0),
        )
    )
    assert seen.cost_usd is None and seen.spent_usd == Decimal("0.25")
    assert seen.as_dict()["cost_usd"] is None and seen.as_dict()["spent_usd"] == "0.25"


def test_a_run_in_flight_reads_as_running() -> None:
    seen = view(
        story(
            OPENING, PLAN, (Act.STEP_BOUND, {}, "solve", None), (Act.ATTEMPT_STARTED, {"endpoint": "a/x"}, "solve", 0)
        )
    )
    assert seen.status == "running" and seen.ended_at is None
    assert seen.steps[0].status == "running" and seen.steps[0].attempts[0].status == "running"


def test_a_cancelled_run_cancels_its_running_steps() -> None:
    seen = view(
        story(OPENING, (Act.STEP_BOUND, {}, "solve", None), (Act.RUN_CANCELLED, {"reason": "gone"}, None, None))
    )
    assert seen.status == "cancelled" and seen.steps[0].status == "cancelled"


def test_verdicts_reviews_and_errors_are_told() -> None:
    refused = {"endpoint": "b/y", "rules": ["deny host:US"]}
    seen = view(
        story(
            OPENING,
            (Act.RUN_LABELLED, {"label": {"personal": True}}, None, None),
            (
                Act.RUN_JUDGED,
                {"permitted": ["a/x"], "refused": [refused]},
                None,
                None,
            ),
            (Act.STEP_REVIEWED, {"review": "ACCEPT"}, "check", None),
            (Act.STEP_FAILED, {"code": "no_able_endpoint", "error": "hash-1"}, "solve", None),
            (Act.RUN_FAILED, {"code": "no_able_endpoint", "status": 503, "error": "hash-2"}, None, None),
        ),
        {"hash-1": "none left"},
    ).as_dict()
    assert seen["label"] == {"personal": True} and seen["candidates"]["refused"][0]["rules"] == ["deny host:US"]
    assert seen["steps"][0]["review"] == "ACCEPT" and seen["steps"][1]["error"] == "none left"
    assert seen["end"]["error"] == "its text is not kept"
    assert seen["status"] == "failed" and seen["end"]["status"] == 503


def test_a_refusal_before_sending_is_no_call_and_a_changed_endpoint_is_told() -> None:
    seen = view(
        story(
            OPENING,
            (Act.STEP_BOUND, {}, "solve", None),
            (Act.ATTEMPT_REFUSED, {"endpoint": "a/x", "rules": ["deny host:US"]}, "solve", None),
            (Act.ATTEMPT_STARTED, {"endpoint": "b/y"}, "solve", 1),
            (Act.ENDPOINT_CHANGED, {"endpoint": "b/y", "from": "closed", "to": "open"}, "solve", None),
            (Act.ATTEMPT_FAILED, {"endpoint": "b/y"}, "solve", 1),
        )
    )
    assert seen.calls == 1 and [a.status for a in seen.steps[0].attempts] == ["refused", "failed"]
    assert seen.as_dict()["changes"] == [{"step": "solve", "endpoint": "b/y", "from": "closed", "to": "open"}]
