"""Health in words: what people and masks read off a breaker."""

from __future__ import annotations

import pytest

from shoal.core.errors import Loss
from shoal.pool.breaker import FRESH, Breaker, State
from shoal.pool.health import ailment, reason, standing
from shoal.pool.retry import PATIENCE_S


@pytest.mark.parametrize(
    ("cause", "word", "said"),
    [
        (Loss.SCARCE, "cooling", "asked for patience"),
        (Loss.ACCOUNT, "parked", "`shoal doctor`"),
        (Loss.WITHDRAWN, "withdrawn", "not available here any more"),
        (Loss.TRANSIENT, "open", "failed too often"),
    ],
)
def test_every_cause_has_its_word_and_its_reason(cause: Loss, word: str, said: str) -> None:
    breaker = Breaker(State.OPEN, until=100.0, cause=cause)
    assert standing(breaker) == word
    assert said in reason(breaker, 40.0) and "60 s" in reason(breaker, 40.0)


def test_a_well_endpoint_has_no_reason() -> None:
    assert reason(FRESH, 0.0) == "" and ailment(FRESH, 0.0) is None and standing(FRESH) == "closed"


def test_what_cools_down_within_a_moment_stays_on_routes() -> None:
    breaker = Breaker(State.OPEN, until=100.0, cause=Loss.SCARCE)
    assert ailment(breaker, 99.0 - PATIENCE_S) is not None
    assert ailment(breaker, 100.0 - PATIENCE_S) is None


@pytest.mark.parametrize("state", [State.PROBING, State.CONFIRMING])
def test_an_endpoint_somebody_is_looking_at_says_so(state: State) -> None:
    assert "one call" in reason(Breaker(state), 0.0) and ailment(Breaker(state), 0.0) is None
