"""Walking a route: from the best endpoint to the first that answers, or to the error that says why none did.

Knows the order of things around one attempt: a seat, money set aside, the breaker's leave, policy once more, and only
then bytes; afterwards the money settled, the breaker and the journal told. Knows no dialect and no socket.

What a failed attempt costs: nothing if no byte of it left or the endpoint refused it with an error status; otherwise
the usage it reported, or an estimate of what it read and wrote. The worst case is not booked, because one silent
endpoint would then eat a whole budget without having billed anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from shoal.core.attempt import Attempt, Emit, Served
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
from shoal.core.event import Act, Record
from shoal.core.item import Answer, Usage
from shoal.core.label import Label
from shoal.core.request import Prompt
from shoal.core.selector import Narrowing
from shoal.core.verdict import Verdict
from shoal.pool.attempt import Call, Progress, make
from shoal.pool.bound import Measure, clamp, estimate, measure, output_most, worst_usd
from shoal.pool.breaker import Breaker, Leave, Report, State
from shoal.pool.choice import Ask, Candidate, Line, Nobody, Pause, choose, has_peer
from shoal.pool.health import reason, standing
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
class Walk:
    """One walk along one route; mutable, used once."""

    means: Means
    errand: Errand
    candidates: list[Candidate]
    size: Measure = field(init=False)
    attempts: list[Attempt] = field(default_factory=list)
    failures: list[UpstreamError] = field(default_factory=list)
    refusals: list[Verdict] = field(default_factory=list)
    unfit: ShoalError | None = None
    paused_s: float = 0.0
    started: float = 0.0

    async def run(self) -> Served:
        """Return the first answer.

        Raises:
            NoAbleEndpoint, Overloaded, BudgetSpent, DeadlineSpent, NothingPermitted, StreamLost, CallerError
        """
        self.size = measure(self.errand.prompt)
        self.started = self.means.clock.monotonic()
        for candidate in self.candidates[:1]:
            deposit(candidate.entry.store, candidate.entry.endpoint.id)
        while True:
            now = self.means.clock.monotonic()
            left_s = self._left_s(now)
            match choose(self.candidates, now):
                case Ask(candidate):
                    if not candidate.entry.limiter.take():
                        continue
                    served = await self._seated(candidate)
                case Line(candidates):
                    limiter = await wait_for_seat([c.entry.limiter for c in candidates], left_s)
                    if limiter is None:
                        continue
                    served = await self._seated(next(c for c in candidates if c.entry.limiter is limiter))
                case Pause(seconds):
                    if self.paused_s + seconds > PATIENCE_S:
                        raise self._end()
                    self.paused_s += seconds
                    await self.means.clock.sleep(seconds if left_s is None else min(seconds, left_s))
                    continue
                case Nobody(full):
                    if full:
                        raise Overloaded("every endpoint of the route is busy and its line is full; come back shortly")
                    raise self._end()
            if served is not None:
                return served

    def _left_s(self, now: float) -> float | None:
        deadline = self.errand.deadline
        if deadline is None:
            return None
        if now >= deadline:
            raise DeadlineSpent(
                "the request's time is used up; raise `shoal.deadline_s` or use `shoal-fast`",
                detail={"attempts": self._tried()},
            )
        return deadline - now

    async def _seated(self, candidate: Candidate) -> Served | None:
        """Try an endpoint whose seat is taken; a withdrawal it reports is confirmed by one more call on the spot."""
        try:
            leave = candidate.entry.admit(self.means.clock.monotonic())
            while leave is not None:
                served, leave = await self._try(candidate, leave)
                if served is not None:
                    return served
        finally:
            candidate.entry.limiter.release()
        return None

    async def _try(self, candidate: Candidate, leave: Leave) -> tuple[Served | None, Leave | None]:
        """Make one attempt; the second value is the leave for the call that has to confirm a withdrawal."""
        errand, entry, endpoint = self.errand, candidate.entry, candidate.entry.endpoint
        account = errand.account
        report = Report(abandoned=True)
        cost: Decimal | None = ZERO
        try:
            prompt = clamp(errand.prompt, endpoint, self.size, account.left_usd)
            reservation = account.reserve(self._worst_usd(prompt, endpoint))
        except BudgetSpent as error:
            self._close(candidate, error.message, error)
            entry.tell(leave, report, self.means.clock.monotonic())
            return None, None
        progress = Progress()
        number = len(self.attempts) + 1
        try:
            try:
                call = self._prepare(candidate, prompt)
            except UpstreamError as error:  # it cannot even be written for this endpoint: a bad key, an odd prompt
                report = Report(error.loss)
                candidate.closed = error.message
                self.failures.append(error)
                return None, None
            if call is None:
                return None, None
            data = {"endpoint": endpoint.id, "number": number, "probe": leave.is_probe}
            errand.record.event(Act.ATTEMPT_STARTED, data, step=errand.step, attempt=number)
            began = self.means.clock.monotonic()
            candidate.tries += 1
            candidate.eager = False
            try:
                answer = await make(call, self.means.transport, errand.emit, progress)
            except UpstreamError as error:
                report = self._report(error)
                cost = self._lost_usd(endpoint, progress)
                self._fail(candidate, error, number, began, progress, cost)
            except BaseException:
                # The caller left, or `emit` failed: no fault of the endpoint, but what it did is booked.
                cost = self._lost_usd(endpoint, progress)
                self._leave(candidate, number, began, progress, cost)
                raise
            else:
                report = Report()
                cost = None if endpoint.price is None else endpoint.price.cost_usd(answer.usage)
                return self._serve(candidate, answer, number, began, progress, cost), None
        finally:
            account.settle(reservation, cost or ZERO)
            entry.tally.cost_usd += cost or ZERO
            confirm = self._tell(candidate, leave, report)
        return None, confirm

    def _worst_usd(self, prompt: Prompt, endpoint: Endpoint) -> Decimal | None:
        if endpoint.price is None:
            return None
        return worst_usd(endpoint.price, self.size, output_most(prompt, endpoint) * prompt.sampling.n)

    def _prepare(self, candidate: Candidate, prompt: Prompt) -> Call | None:
        """Return the call, permitted at this moment, or None where it must not or cannot be made."""
        errand, entry, endpoint = self.errand, candidate.entry, candidate.entry.endpoint
        key = self.means.secret(endpoint.key_env) if endpoint.key_env else None
        try:
            outgoing = entry.dialect.encode(prompt, endpoint, stream=errand.emit is not None, key=key)
        except CallerError as error:
            self._close(candidate, error.message, error)
            return None
        now = self.means.clock.monotonic()
        sampling = prompt.sampling
        limits = entry.limits(
            streamed=errand.emit is not None,
            prompt_bytes=self.size.most,
            output=output_most(prompt, endpoint) * sampling.n,
            is_steady=not endpoint.model.reasoning and sampling.reasoning_effort in CALM_EFFORTS,
            confirming=entry.breaker.state is State.CONFIRMING,
            left_s=self._left_s(now),
        )
        # INVARIANT: nothing may await between this verdict and the transport.
        verdict = self.means.gate.permits(endpoint, prompt.label, errand.narrowing)
        if not verdict.is_permit:
            self._close(candidate, verdict.reason or "policy forbids it", None)
            self.refusals.append(verdict)
            errand.record.event(Act.ATTEMPT_REFUSED, verdict.as_dict(), step=errand.step)
            return None
        return Call(endpoint, entry.dialect, outgoing, limits, self.size)

    def _close(self, candidate: Candidate, why: str, error: ShoalError | None) -> None:
        candidate.closed = why
        if error is not None:
            self.unfit = error

    def _report(self, error: UpstreamError) -> Report:
        """Say what a failure tells of the endpoint; a deadline of ours that cut it short tells nothing."""
        deadline = self.errand.deadline
        is_silent = isinstance(error, UpstreamTimeout)
        if is_silent and deadline is not None and self.means.clock.monotonic() >= deadline:
            return Report(abandoned=True)
        return Report(error.loss, silent=is_silent, retry_after_s=error.retry_after_s)

    def _lost_usd(self, endpoint: Endpoint, progress: Progress) -> Decimal | None:
        if not progress.sent or progress.refused:
            return ZERO
        if endpoint.price is None:
            return None
        received = progress.received
        return endpoint.price.cost_usd(received.usage or estimate(self.size, received.characters))

    def _serve(
        self, candidate: Candidate, answer: Answer, number: int, began: float, progress: Progress, cost: Decimal | None
    ) -> Served:
        entry, errand = candidate.entry, self.errand
        latency_s = self.means.clock.monotonic() - began
        first_byte_s = latency_s if progress.first_byte_s is None else progress.first_byte_s
        entry.pace.note(
            streamed=errand.emit is not None,
            first_byte_s=first_byte_s,
            latency_s=latency_s,
            output=answer.usage.output,
        )
        entry.tally.succeeded += 1
        self.attempts.append(
            Attempt(
                number, entry.endpoint.id, True, latency_s=latency_s, first_byte_s=progress.first_byte_s, cost_usd=cost
            )
        )
        data = {
            "endpoint": entry.endpoint.id,
            "usage": _usage(answer.usage),
            "usage_estimated": answer.usage_estimated,
            "cost_usd": cost,
            "latency_s": round(latency_s, 6),
            "first_byte_s": round(first_byte_s, 6),
            "served_model": answer.served_model,
        }
        errand.record.event(Act.ATTEMPT_SUCCEEDED, data, step=errand.step, attempt=number)
        costs = [a.cost_usd for a in self.attempts]
        total = None if None in costs else sum((c for c in costs if c is not None), ZERO)
        return Served(answer, entry.endpoint, total, tuple(self.attempts), self.means.clock.monotonic() - self.started)

    def _fail(
        self,
        candidate: Candidate,
        error: UpstreamError,
        number: int,
        began: float,
        progress: Progress,
        cost: Decimal | None,
    ) -> None:
        """Note a failed attempt and what follows from it.

        Raises:
            StreamLost: content had reached the client, so nobody else may answer.
        """
        entry = candidate.entry
        entry.tally.failed[error.loss] += 1
        self.failures.append(error)
        self._note_failure(candidate, number, began, progress, cost, error)
        if progress.committed:
            raise StreamLost(
                f"`{entry.endpoint.id}` was lost in the middle of its answer: {error.message}",
                loss=error.loss,
                upstream_status=error.upstream_status,
                detail={"endpoint": entry.endpoint.id},
            ) from error
        now = self.means.clock.monotonic()
        decision = decide(
            error,
            tries=candidate.tries,
            retries=entry.endpoint.limits.retries,
            others=has_peer(candidate, self.candidates, now),
            dice=entry.random.random(),
        )
        if isinstance(decision, Again) and not withdraw(entry.store, entry.endpoint.id):
            candidate.closed = f"{error.message}; too many tries again lately"
        elif decision.pause_s is None:
            candidate.closed = error.message
        else:
            candidate.eager = isinstance(decision, Again)
            candidate.not_before = now + decision.pause_s

    def _leave(self, candidate: Candidate, number: int, began: float, progress: Progress, cost: Decimal | None) -> None:
        self._note_failure(candidate, number, began, progress, cost, None)

    def _note_failure(
        self,
        candidate: Candidate,
        number: int,
        began: float,
        progress: Progress,
        cost: Decimal | None,
        error: UpstreamError | None,
    ) -> None:
        latency_s = self.means.clock.monotonic() - began
        endpoint = candidate.entry.endpoint.id
        message = "the caller left" if error is None else error.message
        loss = None if error is None else error.loss
        status = None if error is None else error.upstream_status
        self.attempts.append(
            Attempt(number, endpoint, False, loss, message, status, latency_s, progress.first_byte_s, cost)
        )
        data = {
            "endpoint": endpoint,
            "loss": loss,
            "error": message,
            "status": status,
            "sent": progress.sent,
            "committed": progress.committed,
            "cost_usd": cost,
            "latency_s": round(latency_s, 6),
        }
        self.errand.record.event(Act.ATTEMPT_FAILED, data, step=self.errand.step, attempt=number)

    def _tell(self, candidate: Candidate, leave: Leave, report: Report) -> Leave | None:
        """Tell the breaker, tell the journal if that changed anything, and return leave to confirm a withdrawal."""
        entry = candidate.entry
        before, after = entry.tell(leave, report, self.means.clock.monotonic())
        if after.state is before.state:
            return None
        self._note_change(entry.endpoint, before, after)
        if after.state is not State.CONFIRMING:
            return None
        candidate.closed = ""
        return Leave(after.generation, True)

    def _note_change(self, endpoint: Endpoint, before: Breaker, after: Breaker) -> None:
        now = self.means.clock.monotonic()
        data = {
            "endpoint": endpoint.id,
            "from": standing(before),
            "to": standing(after),
            "cause": after.cause,
            "for_s": round(max(after.until - now, 0.0), 3) if after.state is State.OPEN else None,
        }
        self.errand.record.event(Act.ENDPOINT_CHANGED, data, step=self.errand.step)

    def _tried(self) -> list[dict[str, Any]]:
        return [{"endpoint": a.endpoint, "loss": a.loss, "error": a.error} for a in self.attempts]

    def _end(self) -> ShoalError:
        """Return the error that says why nobody answered."""
        self._left_s(self.means.clock.monotonic())
        if self.refusals and len(self.refusals) == len(self.candidates):
            return NothingPermitted(
                f"policy forbids all {len(self.refusals)} endpoints of the route at the moment of sending",
                detail={"candidates": [v.as_dict() for v in self.refusals]},
            )
        if not self.attempts and self.unfit is not None:
            return self.unfit
        if self.failures and all(f.loss is Loss.REQUEST for f in self.failures):
            last = self.failures[-1]
            return CallerError(last.message, detail={"attempts": self._tried()})
        now = self.means.clock.monotonic()
        idle = [
            {"endpoint": c.entry.endpoint.id, "reason": c.closed or reason(c.entry.breaker, now) or "not asked"}
            for c in self.candidates
            if not c.tries
        ]
        named = ", ".join(f"`{a.endpoint}`: {a.error}" for a in self.attempts[-3:])
        return NoAbleEndpoint(
            f"none of the route's {len(self.candidates)} endpoints could answer"
            + (f" ({named})" if named else "")
            + "; `shoal doctor` shows each endpoint's state",
            detail={"attempts": self._tried(), "unable": idle},
        )


def _usage(usage: Usage) -> dict[str, int]:
    return {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning, "cached": usage.cached}
