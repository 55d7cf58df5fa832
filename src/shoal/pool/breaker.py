"""The breaker: whether an endpoint may be asked now, as a table of transitions over immutable values.

Knows outcomes and times that are handed in. Knows no clock, no network and no request: the same breaker and the same
signal always give the same breaker. One machine serves every cause, because they differ only in how fast it opens
and for how long: failures in a row, failures in a window, silence, a 429, a closed account, a withdrawal.

INVARIANT: outside CLOSED at most one call at a time has the breaker's leave, and only reports that carry the current
generation count, so a late answer from before a change can neither open nor close anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from shoal.core.errors import Loss


class State(StrEnum):
    """Open to all, open to nobody until a time, open to one call that shows how things are."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    CONFIRMING = "confirming"  # a withdrawal was reported once; the reporter's second call confirms or clears it


class Signal(StrEnum):
    """What can happen to a breaker."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TRIPPED = "tripped"  # a failure that is enough to open
    SUSPECTED = "suspected"  # a withdrawal, not yet confirmed
    COOLED = "cooled"  # its time is over and a call asks for leave
    ABANDONED = "abandoned"  # the call ended without saying anything about the endpoint
    RESTORED = "restored"  # an operator opened it again


TRANSITIONS: Mapping[tuple[State, Signal], State] = {
    (State.CLOSED, Signal.SUCCEEDED): State.CLOSED,
    (State.CLOSED, Signal.FAILED): State.CLOSED,
    (State.CLOSED, Signal.TRIPPED): State.OPEN,
    (State.CLOSED, Signal.SUSPECTED): State.CONFIRMING,
    (State.CLOSED, Signal.ABANDONED): State.CLOSED,
    (State.CLOSED, Signal.RESTORED): State.CLOSED,
    (State.OPEN, Signal.COOLED): State.PROBING,
    (State.OPEN, Signal.RESTORED): State.CLOSED,
    (State.PROBING, Signal.SUCCEEDED): State.CLOSED,
    (State.PROBING, Signal.FAILED): State.OPEN,
    (State.PROBING, Signal.TRIPPED): State.OPEN,
    (State.PROBING, Signal.SUSPECTED): State.CONFIRMING,
    (State.PROBING, Signal.ABANDONED): State.OPEN,
    (State.PROBING, Signal.RESTORED): State.CLOSED,
    (State.CONFIRMING, Signal.SUCCEEDED): State.CLOSED,
    (State.CONFIRMING, Signal.FAILED): State.CLOSED,
    (State.CONFIRMING, Signal.TRIPPED): State.OPEN,
    (State.CONFIRMING, Signal.SUSPECTED): State.OPEN,
    (State.CONFIRMING, Signal.ABANDONED): State.CLOSED,
    (State.CONFIRMING, Signal.RESTORED): State.CLOSED,
}
"""What is not here cannot happen: an open breaker gives no leave, so nobody can report on it."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """When a breaker opens and for how long, in seconds."""

    failures_in_a_row: int = 5
    silences_in_a_row: int = 2  # a silence costs its victim a whole limit, so two are enough
    window: int = 20  # outcomes that the failure rate is taken over
    window_least: int = 10
    failure_share: float = 0.5
    cool_s: float = 5.0
    cool_max_s: float = 300.0  # failed probes double the time up to here
    scarce_s: float = 5.0  # a 429 without Retry-After
    scarce_max_s: float = 3600.0  # no provider may silence an endpoint for longer than this in one go
    parked_s: float = 300.0  # a closed account is looked at again after this
    withdrawn_s: float = 3600.0  # so is a withdrawn endpoint, by one call that has to be confirmed again
    jitter: float = 0.2  # share of a cool-down added at random, so that replicas do not probe in step


@dataclass(frozen=True, slots=True)
class Report:
    """How a call ended: None for a success, else its loss, and what came with it."""

    loss: Loss | None = None
    silent: bool = False
    retry_after_s: float | None = None
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Permission for one call; `generation` ties its report to the breaker that gave it."""

    generation: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class Breaker:
    """One endpoint's condition. `history` holds the last outcomes as bits, 1 a failure, newest lowest."""

    state: State = State.CLOSED
    generation: int = 0
    until: float = 0.0
    cause: Loss | None = None
    failures: int = 0
    silences: int = 0
    history: int = 0
    seen: int = 0
    openings: int = 0  # in a row, since the last success


FRESH = Breaker()
LEASE_S = 60.0  # as long as one call may keep the others waiting for what it finds out
_COUNTED = {Loss.TRANSIENT, Loss.UNREADABLE}


def admit(breaker: Breaker, now: float) -> tuple[Breaker, Leave | None]:
    """Give leave for one call, or None; an open breaker whose time is over gives it to one probe.

    A call that was to find something out and did not report within `LEASE_S` (it streams a long answer, or whoever made
    it is gone) is held for abandoned, so that no endpoint is lost to a report that never comes.
    """
    if not is_admitting(breaker, now):
        return breaker, None
    if breaker.state in (State.PROBING, State.CONFIRMING):
        breaker = _move(breaker, Signal.ABANDONED)
    if breaker.state is State.CLOSED:
        return breaker, Leave(breaker.generation, False)
    probing = replace(_move(breaker, Signal.COOLED), until=now + LEASE_S)
    return probing, Leave(probing.generation, True)


def is_admitting(breaker: Breaker, now: float) -> bool:
    """Whether `admit` would give leave."""
    return breaker.state is State.CLOSED or now >= breaker.until


def tell(breaker: Breaker, leave: Leave, report: Report, now: float, tuning: Tuning, dice: float) -> Breaker:
    """Return the breaker after a call's report; `dice` is a random number in [0, 1) for the jitter."""
    if leave.generation != breaker.generation:
        return breaker
    counted = _count(breaker, report, tuning)
    signal = _signal(counted, report, tuning)
    moved = _move(counted, signal)
    if moved.state is State.OPEN:
        if signal is Signal.ABANDONED:
            return replace(moved, until=now)  # the next call may probe at once
        seconds = _cool_s(moved, report, tuning, dice)
        return replace(moved, until=now + seconds, cause=report.loss, openings=breaker.openings + 1)
    if moved.state is State.CONFIRMING:
        return replace(moved, cause=report.loss, until=now + LEASE_S)
    return moved


def restore(breaker: Breaker) -> Breaker:
    """Return the breaker closed again, with nothing held against the endpoint."""
    return Breaker(generation=breaker.generation + 1)


def _count(breaker: Breaker, report: Report, tuning: Tuning) -> Breaker:
    """Add the outcome to the counts where it says something about the endpoint."""
    if report.abandoned or (report.loss is not None and report.loss not in _COUNTED):
        return breaker
    failed = report.loss is not None
    return replace(
        breaker,
        failures=breaker.failures + 1 if failed else 0,
        silences=breaker.silences + 1 if report.silent else 0,
        history=(breaker.history << 1 | failed) & (1 << tuning.window) - 1,
        seen=min(breaker.seen + 1, tuning.window),
        openings=breaker.openings if failed else 0,
    )


def _signal(counted: Breaker, report: Report, tuning: Tuning) -> Signal:
    if report.abandoned or report.loss is Loss.REQUEST:
        return Signal.ABANDONED
    match report.loss:
        case None:
            return Signal.SUCCEEDED
        case Loss.WITHDRAWN:
            return Signal.SUSPECTED
        case Loss.SCARCE | Loss.ACCOUNT:
            return Signal.TRIPPED
    share = counted.history.bit_count() / max(counted.seen, 1)
    is_enough = (
        counted.failures >= tuning.failures_in_a_row
        or counted.silences >= tuning.silences_in_a_row
        or (counted.seen >= tuning.window_least and share >= tuning.failure_share)
    )
    return Signal.TRIPPED if is_enough else Signal.FAILED


def _cool_s(opened: Breaker, report: Report, tuning: Tuning, dice: float) -> float:
    match report.loss:
        case Loss.SCARCE:
            asked = report.retry_after_s
            seconds = tuning.scarce_s * 2 ** min(opened.openings, 6) if asked is None else asked
            seconds = min(max(seconds, 0.0), tuning.scarce_max_s)
        case Loss.ACCOUNT:
            seconds = tuning.parked_s
        case Loss.WITHDRAWN:
            seconds = tuning.withdrawn_s
        case _:
            seconds = min(tuning.cool_s * 2 ** min(opened.openings, 16), tuning.cool_max_s)
    return seconds * (1 + tuning.jitter * dice)


def _move(breaker: Breaker, signal: Signal) -> Breaker:
    """Follow the table; a change of state starts a new generation, and closing forgets the failures."""
    state = TRANSITIONS[breaker.state, signal]
    if state is breaker.state:
        return breaker
    generation = breaker.generation + 1
    if state is State.CLOSED:
        return Breaker(generation=generation, openings=breaker.openings)
    return replace(breaker, state=state, generation=generation)
