"""The breaker's table, told by hand: what opens it, for how long, and who may look."""

from __future__ import annotations

import pytest

from shoal.core.errors import Loss
from shoal.pool.breaker import (
    FRESH,
    TRANSITIONS,
    Breaker,
    Leave,
    Report,
    Signal,
    State,
    Tuning,
    admit,
    is_admitting,
    restore,
    tell,
)

TUNING = Tuning(jitter=0.0)
FAILED = Report(Loss.TRANSIENT)
SILENT = Report(Loss.TRANSIENT, silent=True)
GOOD = Report()


def after(*reports: Report, breaker: Breaker = FRESH, now: float = 0.0) -> Breaker:
    for report in reports:
        breaker, leave = admit(breaker, now)
        if leave is None:
            return breaker
        breaker = tell(breaker, leave, report, now, TUNING, 0.0)
    return breaker


PATIENCE = Report(Loss.SCARCE)


def opened(report: Report = PATIENCE, now: float = 0.0) -> Breaker:
    return after(report, now=now)


def test_every_state_knows_what_an_operators_word_does() -> None:
    assert all(TRANSITIONS[state, Signal.RESTORED] is State.CLOSED for state in State)


def test_every_state_in_which_calls_end_has_an_answer_to_every_ending() -> None:
    endings = (Signal.SUCCEEDED, Signal.FAILED, Signal.TRIPPED, Signal.SUSPECTED, Signal.ABANDONED)
    for state in (State.CLOSED, State.PROBING, State.CONFIRMING):
        for signal in endings:
            assert (state, signal) in TRANSITIONS


def test_failures_in_a_row_open_it() -> None:
    assert after(*[FAILED] * 4).state is State.CLOSED
    assert after(*[FAILED] * 5).state is State.OPEN


def test_a_success_in_between_starts_the_row_anew() -> None:
    assert after(*[FAILED] * 4, GOOD, *[FAILED] * 4).state is State.CLOSED


def test_half_of_the_window_failing_opens_it_without_any_row() -> None:
    mixed = [GOOD, FAILED] * 5
    assert after(*mixed[:9]).state is State.CLOSED
    assert after(*mixed).state is State.OPEN


def test_two_silences_in_a_row_open_it() -> None:
    assert after(SILENT).state is State.CLOSED
    assert after(SILENT, SILENT).state is State.OPEN
    assert after(SILENT, GOOD, SILENT).state is State.CLOSED


@pytest.mark.parametrize(
    ("report", "seconds"),
    [
        (Report(Loss.SCARCE), 5.0),
        (Report(Loss.SCARCE, retry_after_s=42.0), 42.0),
        (Report(Loss.SCARCE, retry_after_s=1e9), 3600.0),
        (Report(Loss.ACCOUNT), 300.0),
    ],
)
def test_patience_and_accounts_open_it_at_once_for_as_long_as_they_say(report: Report, seconds: float) -> None:
    breaker = opened(report, now=10.0)
    assert breaker.state is State.OPEN and breaker.until == 10.0 + seconds and breaker.cause is report.loss


def test_jitter_only_ever_lengthens_a_cool_down() -> None:
    breaker, leave = admit(FRESH, 0.0)
    assert leave is not None
    told = tell(breaker, leave, Report(Loss.SCARCE, retry_after_s=10.0), 0.0, Tuning(jitter=0.2), 0.5)
    assert told.until == pytest.approx(11.0)


def test_an_open_breaker_gives_no_leave_before_its_time_and_one_after() -> None:
    breaker = opened()
    assert admit(breaker, 4.9) == (breaker, None)
    probing, leave = admit(breaker, 5.0)
    assert probing.state is State.PROBING and leave is not None and leave.is_probe
    assert admit(probing, 5.0) == (probing, None)
    assert is_admitting(breaker, 5.0) and not is_admitting(breaker, 4.9) and not is_admitting(probing, 9.0)


def test_a_probe_that_never_reports_does_not_lose_the_endpoint() -> None:
    probing, lost = admit(opened(), 5.0)
    again, leave = admit(probing, 65.0)
    assert lost is not None and leave is not None and leave.is_probe and again.state is State.PROBING
    assert tell(again, lost, GOOD, 66.0, TUNING, 0.0) == again
    suspected = after(Report(Loss.WITHDRAWN))
    cleared, leave = admit(suspected, 60.0)
    assert cleared.state is State.CLOSED and leave is not None


def test_failed_probes_double_the_cool_down() -> None:
    breaker, now = after(*[FAILED] * 5), 0.0
    waits = []
    for _ in range(9):
        waits.append(breaker.until - now)
        now = breaker.until
        probing, leave = admit(breaker, now)
        assert leave is not None
        breaker = tell(probing, leave, FAILED, now, TUNING, 0.0)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_a_good_probe_closes_it_with_a_clean_slate() -> None:
    probing, leave = admit(opened(), 5.0)
    assert leave is not None
    closed = tell(probing, leave, GOOD, 5.0, TUNING, 0.0)
    assert closed.state is State.CLOSED and closed.failures == 0 and closed.seen == 0


def test_an_abandoned_probe_lets_the_next_one_look_at_once() -> None:
    probing, leave = admit(opened(), 5.0)
    assert leave is not None
    again = tell(probing, leave, Report(abandoned=True), 5.5, TUNING, 0.0)
    assert again.state is State.OPEN and admit(again, 5.5)[1] is not None


def test_a_request_at_fault_says_nothing_of_the_endpoint() -> None:
    assert after(*[Report(Loss.REQUEST)] * 50) == FRESH


def test_a_withdrawal_is_confirmed_by_the_second_report_only() -> None:
    suspected = after(Report(Loss.WITHDRAWN))
    assert suspected.state is State.CONFIRMING and admit(suspected, 59.0)[1] is None
    leave = Leave(suspected.generation, True)
    confirmed = tell(suspected, leave, Report(Loss.WITHDRAWN), 0.0, TUNING, 0.0)
    assert (confirmed.state, confirmed.cause, confirmed.until) == (State.OPEN, Loss.WITHDRAWN, 3600.0)
    assert tell(suspected, leave, GOOD, 0.0, TUNING, 0.0).state is State.CLOSED


def test_a_late_report_changes_nothing() -> None:
    closed, leave = admit(FRESH, 0.0)
    assert leave is not None
    breaker = opened()
    assert tell(breaker, leave, GOOD, 1.0, TUNING, 0.0) == breaker
    assert tell(breaker, leave, FAILED, 1.0, TUNING, 0.0) == breaker


def test_an_operators_word_closes_it_and_outdates_what_is_under_way() -> None:
    probing, leave = admit(opened(), 5.0)
    assert leave is not None
    closed = restore(probing)
    assert closed.state is State.CLOSED and tell(closed, leave, Report(Loss.ACCOUNT), 6.0, TUNING, 0.0) == closed
