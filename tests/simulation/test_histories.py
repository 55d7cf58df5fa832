"""The whole pipeline in failing worlds: what must hold, holds in every history; a seed replays exactly."""

from __future__ import annotations

from collections import Counter

import pytest

from shoal.core.event import Act
from shoal.ledger.vocabulary import undocumented
from shoal.simulation.checkers import violations
from shoal.simulation.history import History, fingerprint, play


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--seeds")))


def test_every_history_keeps_the_law_the_budget_and_its_word(seed: int) -> None:
    history = play(seed)
    wrong = violations(history)
    assert not wrong, f"seed {seed}; replay with play({seed}):\n" + "\n".join(wrong[:20])


def test_the_same_seed_gives_the_same_history_byte_for_byte() -> None:
    assert fingerprint(play(3, requests=40)) == fingerprint(play(3, requests=40))
    assert fingerprint(play(3, requests=40)) != fingerprint(play(4, requests=40))


@pytest.fixture(scope="module")
def several() -> list[History]:
    return [play(seed) for seed in range(100, 106)]


def test_the_worlds_are_hard_enough_to_mean_something(several: list[History]) -> None:
    endings = Counter(ending.how for history in several for ending in history.endings)
    acts = Counter(e.action for history in several for events in history.events.values() for e in events)
    assert endings["answered"] > 100 and endings["refused"] > 10 and endings["left"] > 5, endings
    assert acts[Act.ATTEMPT_FAILED] > 50, acts


def test_every_field_of_every_event_is_documented(several: list[History]) -> None:
    events = [e for history in several for events in history.events.values() for e in events]
    unknown = {(str(e.action), name) for e in events for name in undocumented(e.action, list(e.data))}
    assert not unknown
    assert {e.action for e in events} >= {
        Act.ATTEMPT_FAILED,
        Act.ENDPOINT_CHANGED,
        Act.RUN_CANCELLED,
        Act.STEP_REVIEWED,
    }


def test_no_event_holds_what_was_said(several: list[History]) -> None:
    words = (b"tell me about", *(word.encode() for word in ("reef", "kelp", "gull")))  # the prompts, and the parrot
    for history in several:
        for line in fingerprint(history):
            assert not any(word in line for word in words), line


def test_the_checkers_can_fail(several: list[History]) -> None:
    from dataclasses import replace

    from shoal.policy.rules import Rules

    stricter = replace(several[0], rules=Rules(deny=("country:KR", "country:JP", "country:FR", "country:AE")))
    assert any("forbids" in wrong for wrong in violations(stricter))
    run = next(run for run, events in several[0].events.items() if events[-1].action is Act.RUN_FINISHED)
    endless = replace(several[0], events={**several[0].events, run: several[0].events[run][:-1]})
    assert any("endings" in wrong for wrong in violations(endless))
    assert any("still open" in wrong for wrong in violations(replace(several[0], left_open=1)))
