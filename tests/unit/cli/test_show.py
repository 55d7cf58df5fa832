"""A run's story as a person reads it: who was refused and why, what each step did, nothing told twice."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from shoal.cli.show import dollars, few, seconds_between, story


def step(name: str, **said: Any) -> dict[str, Any]:
    route = [
        {"endpoint": "practice/a", "belief": 0.99, "utility": 0.2, "terms": {"cost_usd": 5.6e-05}},
        {"endpoint": "practice/b", "belief": 0.9, "utility": 0.1, "terms": {}},
    ]
    done = {"endpoint": "practice/a", "status": "succeeded"}
    objection = {"endpoint": "practice/c", "mask": "capability", "reason": "it was not taught add"}
    made = {
        "id": name,
        "role": "solver",
        "plan": {"skill": "add"},
        "endpoint": "practice/a",
        "cost_usd": "0.000056",
        "attempts": [done],
        "route": route,
        "objections": [objection],
    }
    return made | said


def told(*steps: dict[str, Any], **said: Any) -> str:
    refused = [{"endpoint": f"practice/{n}", "rules": ["deny host:JP"], "missing_facts": []} for n in "xy"]
    refused.append({"endpoint": "practice/z", "rules": ["deny host:JP"], "missing_facts": ["host_country"]})
    view = {
        "run": "run_1",
        "status": "finished",
        "model": "shoal-deep",
        "mode": "chain",
        "cost_usd": "0.000056",
        "started_at": "2026-11-20T10:00:00+00:00",
        "ended_at": "2026-11-20T10:00:01.500000+00:00",
        "label": {"personal": True, "tags": []},
        "candidates": {"permitted": ["practice/a"], "refused": refused},
        "steps": list(steps),
    }
    console = Console(width=120, no_color=True)
    with console.capture() as caught:
        console.print(story(view | said))
    return caught.get()


def test_a_story_says_who_was_refused_by_which_rule_and_which_fact_was_missing() -> None:
    text = told(step("s"))
    assert "1 permitted, 3 refused" in text and "personal: True" in text and "tags" not in text
    assert "refused by deny host:JP: practice/x, practice/y" in text
    assert "refused by deny host:JP (unknown: host_country): practice/z" in text
    assert "56 µUSD  1.50 s" in text


def test_a_step_says_where_it_went_why_and_who_could_not() -> None:
    text = told(step("s"))
    assert "-> practice/a  56 µUSD" in text
    assert "belief 0.990, utility 0.20000 USD (cost 56 µUSD)" in text and "then practice/b" in text
    assert "not practice/c: capability: it was not taught add" in text


def test_a_step_tells_first_who_was_lost_then_who_answered_and_whom_the_reasons_are_of() -> None:
    lost = {"endpoint": "practice/a", "status": "failed", "loss": "transient", "error": "it went away"}
    done = {"endpoint": "practice/b", "status": "succeeded"}
    text = told(step("s", endpoint="practice/b", attempts=[lost, done]))
    assert text.index("failed practice/a transient") < text.index("-> practice/b")
    assert "why practice/a first: belief 0.990" in text


def test_the_same_reasons_are_told_once() -> None:
    text = told(step("r1"), step("r2"), step("w", objections=[]))
    assert text.count("it was not taught add") == 1 and "as for r1" in text


def test_lost_attempts_and_the_error_at_the_end_are_told() -> None:
    lost = {"endpoint": "practice/a", "status": "failed", "loss": "transient", "error": "the endpoint [went] away"}
    text = told(step("s", attempts=[lost], endpoint=None, error="nobody is left"), end={"code": "x", "error": "[gone]"})
    assert "failed practice/a transient the endpoint [went] away" in text
    assert "failed nobody is left" in text and "x [gone]" in text


@pytest.mark.parametrize(
    ("amount", "words"),
    [(None, "cost unknown"), ("0", "0 USD"), ("0.0000766", "76.6 µUSD"), ("0.0123", "0.0123 USD"), ("2", "2 USD")],
)
def test_amounts_are_for_people_and_unknown_stays_unknown(amount: str | None, words: str) -> None:
    assert dollars(amount) == words


def test_long_lists_are_cut_and_unknown_moments_have_no_length() -> None:
    assert few(list("abc"), 2) == "a, b and 1 more" and few(["a"], 2) == "a"
    assert seconds_between(None, "2026-11-20T10:00:00+00:00") is None
