"""Walking a route: from the best endpoint to the first that answers, or to the error that says why none did.

Knows the order of things around one attempt: a seat, money set aside, the breaker's leave, policy once more, and only
then bytes; afterwards the money settled, the breaker and the journal told. Knows no dialect and no socket.

What a failed attempt costs: nothing if no byte of it left or the endpoint refused it with an error status; otherwise
the usage it reported, or an estimate of what it read and wrote. The worst case is not booked, because one silent
endpoint would then eat a whole budget without having billed anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from shoal.core.attempt import Emit, Served
from shoal.core.budget import Account
from shoal.core.clock import Clock
from shoal.core.endpoint import Endpoint
from shoal.core.errors import (
    BudgetSpent,
    CallerError,
    DeadlineSpent,
    Loss,
    NoAbleEndpoint,
    NothingPermitted,
    Overloaded,
    ShoalError,
    StreamLost,
    UpstreamError,
    UpstreamTimeout,
)
from shoal.core.event import Record
from shoal.core.item import Answer, Usage
from shoal.core.label import Label
from shoal.core.request import Prompt
from shoal.core.selector import Narrowing
from shoal.core.verdict import Verdict
from shoal.pool.attempt import Call, Progress, make, without_key
from shoal.pool.bound import Measure, clamp, estimate, measure, output_most, worst_usd
from shoal.pool.breaker import Leave, Report, State
from shoal.pool.choice import Ask, Candidate, Line, Nobody, Pause, choose, has_peer
from shoal.pool.chronicle import Chronicle
from shoal.pool.health import reason
from shoal.pool.limiter import wait_for_seat
from shoal.pool.retry import PATIENCE_S, Again, decide, deposit, withdraw
from shoal.pool.transport import Transport

ZERO = Decimal(0)
CALM_EFFORTS = (None, "none", "minimal")


class Gate(Protocol):
    """Policy, asked again immediately before bytes leave."""

    def permits(self, endpoint: Endpoint, label: Label, narrowing: Narrowing) -> Verdict:
        """Return the verdict on sending data of this label to this endpoint now."""


class Secret(Protocol):
    """Where credentials come from."""

    def __call__(self, name: str) -> str | None:
        """Return the credential of this name, or None."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every walk of a pool shares."""

    transport: Transport
    clock: Clock
    secret: Secret
    gate: Gate


@dataclass(frozen=True, slots=True)
class Errand:
    """What one walk is for."""

    prompt: Prompt
    step: str
    record: Record
    account: Account
    narrowing: Narrowing
    deadline: float | None
    emit: Emit | None


@dataclass(slots=True)
class Turn:
    """What one attempt leaves behind, however it ends: what to book, and what to report to the breaker."""

    cost_usd: Decimal | None = ZERO
    report: Report = Report(abandoned=True)


@dataclass(slots=True)
class Walk:
    """One walk along one route; mutable, used once."""

    means: Means
    errand: Errand
    candidates: list[Candidate]
    size: Measure = field(init=False)
    chronicle: Chronicle = field(init=False)
    started: float = field(init=False)
    paused_s: float = 0.0
    failures: list[UpstreamError] = field(default_factory=list)
    refusals: list[Verdict] = field(default_factory=list)
    unfit: ShoalError | None = None

    def __post_init__(self) -> None:
        self.size = measure(self.errand.prompt)
        self.chronicle = Chronicle(self.errand.record, self.errand.step, self.means.clock)
        self.started = self.means.clock.monotonic()

    async def run(self) -> Served:
        """Return the first answer.

        Raises:
            NoAbleEndpoint, Overloaded, BudgetSpent, DeadlineSpent, NothingPermitted, StreamLost, CallerError
        """
        while True:
            now = self.means.clock.monotonic()
            left_s = self._left_s(now)
            match choose(self.candidates, now):
                case Ask(candidate):
                    seated = candidate if candidate.entry.limiter.take() else None
                case Line(candidates):
                    seated = await self._queue(candidates, left_s)
                case Pause(seconds):
                    await self._pause(seconds, left_s)
                    seated = None
                case Nobody(full):
                    raise self._end(full)
            if seated is not None and (served := await self._sit(seated)) is not None:
                return served

    def _left_s(self, now: float) -> float | None:
        deadline = self.errand.deadline
        if deadline is None:
            return None
        if now >= deadline:
            raise DeadlineSpent(detail={"attempts": self.chronicle.tried()})
        return deadline - now

    async def _queue(self, candidates: Sequence[Candidate], left_s: float | None) -> Candidate | None:
        """Stand in line for as long as the deadline lets the request."""
        limiter = await wait_for_seat([c.entry.limiter for c in candidates], left_s)
        return next((c for c in candidates if c.entry.limiter is limiter), None)

    async def _pause(self, seconds: float, left_s: float | None) -> None:
        if self.paused_s + seconds > PATIENCE_S:
            raise self._end()
        self.paused_s += seconds
        await self.means.clock.sleep(seconds if left_s is None else min(seconds, left_s))

    async def _sit(self, candidate: Candidate) -> Served | None:
        """Try an endpoint whose seat is taken; a withdrawal it reports is confirmed by one more call on the spot."""
        entry = candidate.entry
        try:
            if candidate.tries == 0:
                deposit(entry.store, entry.endpoint.id)
            elif not withdraw(entry.store, entry.endpoint.id):
                candidate.closed = "it was tried again too often lately"
                return None
            leave = entry.admit(self.means.clock.monotonic())
            while leave is not None:
                served, leave = await self._try(candidate, leave)
                if served is not None:
                    return served
        finally:
            entry.limiter.release()
        return None

    async def _try(self, candidate: Candidate, leave: Leave) -> tuple[Served | None, Leave | None]:
        """Make one attempt within the budget; the second value is the leave for the call that confirms a withdrawal."""
        account, entry = self.errand.account, candidate.entry
        prompt = clamp(self.errand.prompt, entry.endpoint, self.size, account.left_usd)
        try:
            reservation = account.reserve(self._worst_usd(prompt, entry.endpoint))
        except BudgetSpent as error:
            candidate.closed, self.unfit = error.message, error
            self._tell(candidate, leave, Turn().report)
            return None, None
        turn = Turn()
        try:
            served = await self._take(candidate, prompt, leave, turn)
        finally:
            account.settle(reservation, turn.cost_usd or ZERO)
            entry.tally.cost_usd += turn.cost_usd or ZERO
            confirm = self._tell(candidate, leave, turn.report)
        return served, confirm

    async def _take(self, candidate: Candidate, prompt: Prompt, leave: Leave, turn: Turn) -> Served | None:
        """Send the call and note how it ended; `turn` then says what to book and what to report."""
        entry, endpoint = candidate.entry, candidate.entry.endpoint
        try:
            call = self._prepare(candidate, prompt, leave)
        except UpstreamError as error:  # it cannot even be written for this endpoint: a bad key, an odd prompt
            turn.report = Report(error.loss)
            candidate.closed = error.message
            self.failures.append(error)
            return None
        if call is None:
            return None
        candidate.tries += 1
        candidate.eager = False
        trial = self.chronicle.start(endpoint.id, is_probe=leave.is_probe)
        answer: Answer | None = None
        lost: UpstreamError | None = None
        try:
            answer = await make(call, self.means.transport, self.errand.emit, trial.progress)
        except UpstreamError as error:
            error.message = without_key(error.message, call.key)
            lost = error
        finally:
            # Neither answer nor error: the caller left or `emit` failed. That is no fault of the endpoint, but what
            # it did is booked all the same.
            if answer is None:
                usage = self._lost(trial.progress)
                turn.cost_usd = _cost_usd(endpoint, usage)
                self.chronicle.fail(trial, lost, usage, turn.cost_usd)
        if lost is not None:
            turn.report = self._report(lost, trial.progress)
            self._fail(candidate, lost, trial.progress)
            return None
        assert answer is not None
        turn.report = Report()
        turn.cost_usd = None if endpoint.price is None else endpoint.price.cost_usd(answer.usage)
        attempt = self.chronicle.succeed(trial, answer, turn.cost_usd)
        entry.note(attempt, answer.usage.output, streamed=self.errand.emit is not None)
        elapsed_s = self.means.clock.monotonic() - self.started
        return Served(answer, endpoint, self.chronicle.cost_usd, tuple(self.chronicle.attempts), elapsed_s)

    def _prepare(self, candidate: Candidate, prompt: Prompt, leave: Leave) -> Call | None:
        """Return the call, permitted at this moment, or None where it must not or cannot be made."""
        errand, entry, endpoint = self.errand, candidate.entry, candidate.entry.endpoint
        key = self.means.secret(endpoint.key_env) if endpoint.key_env else None
        try:
            outgoing = entry.dialect.encode(prompt, endpoint, stream=errand.emit is not None, key=key)
        except CallerError as error:
            candidate.closed, self.unfit = error.message, error
            return None
        limits = entry.limits(
            streamed=errand.emit is not None,
            prompt_bytes=self.size.most,
            output=output_most(prompt, endpoint) * prompt.sampling.n,
            is_steady=not endpoint.model.reasoning and prompt.sampling.reasoning_effort in CALM_EFFORTS,
            is_probe=leave.is_probe,
            left_s=self._left_s(self.means.clock.monotonic()),
        )
        # INVARIANT: nothing may await between this verdict and the transport.
        verdict = self.means.gate.permits(endpoint, prompt.label, errand.narrowing)
        if not verdict.is_permit:
            candidate.closed = verdict.reason or "policy forbids it"
            self.refusals.append(verdict)
            self.chronicle.refuse(verdict)
            return None
        return Call(endpoint, entry.dialect, outgoing, limits, self.size, key)

    def _worst_usd(self, prompt: Prompt, endpoint: Endpoint) -> Decimal | None:
        if endpoint.price is None:
            return None
        return worst_usd(endpoint.price, self.size, output_most(prompt, endpoint) * prompt.sampling.n)

    def _lost(self, progress: Progress) -> Usage:
        """Return what a failed attempt used: what it reported, else an estimate of what it read and wrote."""
        if not progress.sent or progress.refused:
            return Usage()
        received = progress.received
        return received.usage or estimate(self.size, received.characters)

    def _report(self, error: UpstreamError, progress: Progress) -> Report:
        """Say what a failure tells of the endpoint; a deadline of ours that cut it short tells nothing."""
        deadline = self.errand.deadline
        is_silent = isinstance(error, UpstreamTimeout)
        if is_silent and deadline is not None and self.means.clock.monotonic() >= deadline:
            return Report(abandoned=True)
        if error.loss is Loss.WITHDRAWN and progress.committed:  # nobody may ask again, so nobody can confirm it
            return Report(Loss.TRANSIENT)
        return Report(error.loss, silent=is_silent, retry_after_s=error.retry_after_s)

    def _fail(self, candidate: Candidate, error: UpstreamError, progress: Progress) -> None:
        """Decide what follows from a failed attempt.

        Raises:
            StreamLost: content had reached the client, so nobody else may answer.
        """
        entry, now = candidate.entry, self.means.clock.monotonic()
        entry.tally.failed[error.loss] += 1
        self.failures.append(error)
        if progress.committed:
            raise StreamLost(
                f"`{entry.endpoint.id}` was lost in the middle of its answer: {error.message}",
                loss=error.loss,
                upstream_status=error.upstream_status,
                detail={"endpoint": entry.endpoint.id},
            ) from error
        decision = decide(
            error,
            tries=candidate.tries,
            retries=entry.endpoint.limits.retries,
            others=has_peer(candidate, self.candidates, now),
            dice=entry.random.random(),
        )
        if decision.pause_s is None:
            candidate.closed = error.message
        else:
            candidate.eager = isinstance(decision, Again)
            candidate.not_before = now + decision.pause_s

    def _tell(self, candidate: Candidate, leave: Leave, report: Report) -> Leave | None:
        """Tell the breaker, tell the journal if that changed anything, and return leave to confirm a withdrawal."""
        before, after = candidate.entry.tell(leave, report, self.means.clock.monotonic())
        if after.state is before.state:
            return None
        self.chronicle.change(candidate.entry.endpoint.id, before, after)
        if after.state is not State.CONFIRMING:
            return None
        candidate.closed = ""
        return Leave(after.generation, True)

    def _end(self, full: bool = False) -> ShoalError:
        """Return the error that says why nobody answered."""
        now = self.means.clock.monotonic()
        self._left_s(now)
        if full:
            return Overloaded("every endpoint of the route is busy and its line is full; come back shortly")
        if self.refusals and len(self.refusals) == len(self.candidates):
            return NothingPermitted(
                f"policy forbids all {len(self.refusals)} endpoints of the route at the moment of sending",
                detail={"candidates": [v.as_dict() for v in self.refusals]},
            )
        if self.unfit is not None:  # the caller can change that, and cannot change who is down
            return self.unfit
        if self.failures and all(f.loss is Loss.REQUEST for f in self.failures):
            return CallerError(self.failures[-1].message, detail={"attempts": self.chronicle.tried()})
        idle = [
            {"endpoint": c.entry.endpoint.id, "reason": c.closed or reason(c.entry.breaker, now) or "not asked"}
            for c in self.candidates
            if not c.tries
        ]
        named = ", ".join(f"`{a.endpoint}`: {a.error}" for a in self.chronicle.attempts[-3:])
        return NoAbleEndpoint(
            f"none of the route's {len(self.candidates)} endpoints could answer"
            + (f" ({named})" if named else "")
            + "; `shoal doctor` shows each endpoint's state",
            detail={"attempts": self.chronicle.tried(), "unable": idle},
        )


def _cost_usd(endpoint: Endpoint, usage: Usage) -> Decimal | None:
    """Return the price of what was used; nothing costs nothing, also where the price is unknown."""
    if usage == Usage():
        return ZERO
    return None if endpoint.price is None else endpoint.price.cost_usd(usage)
