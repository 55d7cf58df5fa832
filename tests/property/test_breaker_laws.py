"""Laws of the breaker: whatever the order of calls, reports and time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.core.errors import Loss
from shoal.pool.breaker import FRESH, LEASE_S, Breaker, Leave, Report, State, Tuning, admit, is_admitting, restore, tell

TUNING = Tuning()
REPORTS = st.builds(
    Report,
    loss=st.sampled_from([None, *Loss]),
    silent=st.booleans(),
    retry_after_s=st.none() | st.floats(0, 1e6),
    abandoned=st.booleans(),
)


class AnyOrder(RuleBasedStateMachine):
    """Many callers ask for leave, and report in any order, much later or never."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = FRESH
        self.now = 0.0
        self.under_way: list[Leave] = []

    @rule(seconds=st.floats(0, 500))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        could = is_admitting(self.breaker, self.now)
        self.breaker, leave = admit(self.breaker, self.now)
        assert (leave is not None) == could
        if leave is not None:
            self.under_way.append(leave)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), report=REPORTS, dice=st.floats(0, 1, exclude_max=True))
    def report(self, data: st.DataObject, report: Report, dice: float) -> None:
        leave = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(leave)
        before = self.breaker
        self.breaker = tell(before, leave, report, self.now, TUNING, dice)
        if self.breaker.state is State.CONFIRMING and before.state is not State.CONFIRMING:
            self.under_way.append(Leave(self.breaker.generation, True))

    @rule()
    def operator(self) -> None:
        self.breaker = restore(self.breaker)

    @invariant()
    def at_most_one_call_looks_at_a_broken_endpoint(self) -> None:
        current = [leave for leave in self.under_way if leave.generation == self.breaker.generation]
        if self.breaker.state in (State.PROBING, State.CONFIRMING):
            assert len(current) == 1 and current[0].is_probe
            assert self.breaker.until - self.now <= LEASE_S

    @invariant()
    def no_breaker_stays_open_for_ever(self) -> None:
        if self.breaker.state is State.OPEN:
            assert self.breaker.until - self.now <= TUNING.withdrawn_s * (1 + TUNING.jitter)

    @invariant()
    def counts_are_bounded(self) -> None:
        assert self.breaker.history < 1 << TUNING.window and self.breaker.seen <= TUNING.window


TestAnyOrder = AnyOrder.TestCase


@given(st.lists(REPORTS, max_size=60))
def test_the_same_reports_make_the_same_breaker(reports: list[Report]) -> None:
    def play() -> list[Breaker]:
        breaker, seen = FRESH, list[Breaker]()
        for number, report in enumerate(reports):
            breaker, leave = admit(breaker, number * 10.0)
            if leave is not None:
                breaker = tell(breaker, leave, report, number * 10.0, TUNING, 0.5)
            seen.append(breaker)
        return seen

    assert play() == play()


@given(st.lists(st.sampled_from([None, Loss.REQUEST]), max_size=60))
def test_an_endpoint_that_only_succeeds_or_refuses_bad_requests_is_never_cut_off(losses: list[Loss | None]) -> None:
    breaker = FRESH
    for loss in losses:
        breaker, leave = admit(breaker, 0.0)
        assert leave is not None
        breaker = tell(breaker, leave, Report(loss), 0.0, TUNING, 0.0)
    assert breaker.state is State.CLOSED
