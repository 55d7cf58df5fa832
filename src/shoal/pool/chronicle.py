"""The chronicle of a walk: every attempt as a value and as events of the journal.

Knows what happened, never what was said: no text of anybody's goes into it. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shoal.core.attempt import Attempt
from shoal.core.clock import Clock
from shoal.core.errors import UpstreamError
from shoal.core.event import Act, Record
from shoal.core.item import Answer, Usage
from shoal.core.verdict import Verdict
from shoal.pool.attempt import Progress
from shoal.pool.breaker import Breaker, State
from shoal.pool.health import standing

LEFT = "the caller left"


@dataclass(slots=True)
class Trial:
    """One attempt under way; mutable."""

    number: int
    endpoint: str
    began: float
    progress: Progress = field(default_factory=Progress)


@dataclass(slots=True)
class Chronicle:
    """What happened on one walk; mutable."""

    record: Record
    step: str
    clock: Clock
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def cost_usd(self) -> Decimal | None:
        """What all attempts cost together; None where the price of one is unknown."""
        total = Decimal(0)
        for attempt in self.attempts:
            if attempt.cost_usd is None:
                return None
            total += attempt.cost_usd
        return total

    def start(self, endpoint: str, *, is_probe: bool) -> Trial:
        """Open an attempt."""
        trial = Trial(len(self.attempts) + 1, endpoint, self.clock.monotonic())
        data = {"endpoint": endpoint, "number": trial.number, "probe": is_probe}
        self.record.event(Act.ATTEMPT_STARTED, data, step=self.step, attempt=trial.number)
        return trial

    def succeed(self, trial: Trial, answer: Answer, cost_usd: Decimal | None) -> Attempt:
        """Close an attempt that gave an answer."""
        latency_s = self.clock.monotonic() - trial.began
        first_byte_s = latency_s if trial.progress.first_byte_s is None else trial.progress.first_byte_s
        attempt = Attempt(
            trial.number, trial.endpoint, True, latency_s=latency_s, first_byte_s=first_byte_s, cost_usd=cost_usd
        )
        data = {
            "endpoint": trial.endpoint,
            "usage": _counts(answer.usage),
            "usage_estimated": answer.usage_estimated,
            "cost_usd": cost_usd,
            "latency_s": round(latency_s, 6),
            "first_byte_s": round(first_byte_s, 6),
            "served_model": answer.served_model,
        }
        return self._close(attempt, Act.ATTEMPT_SUCCEEDED, data)

    def fail(self, trial: Trial, error: UpstreamError | None, usage: Usage, cost_usd: Decimal | None) -> Attempt:
        """Close an attempt that gave none; without an error, because its caller left."""
        latency_s = self.clock.monotonic() - trial.began
        message, loss, status = LEFT, None, None
        if error is not None:
            message, loss, status = error.message, error.loss, error.upstream_status
        first_byte_s = trial.progress.first_byte_s
        attempt = Attempt(trial.number, trial.endpoint, False, loss, message, status, latency_s, first_byte_s, cost_usd)
        data = {
            "endpoint": trial.endpoint,
            "loss": loss,
            "error": self.record.body(message),  # a provider may repeat in it what it was asked
            "status": status,
            "sent": trial.progress.sent,
            "committed": trial.progress.committed,
            "usage": _counts(usage),
            "usage_estimated": usage != Usage() and trial.progress.received.usage is None,
            "cost_usd": cost_usd,
            "latency_s": round(latency_s, 6),
        }
        return self._close(attempt, Act.ATTEMPT_FAILED, data)

    def refuse(self, verdict: Verdict) -> None:
        """Note an endpoint that policy took away at the last moment."""
        self.record.event(Act.ATTEMPT_REFUSED, verdict.as_dict(), step=self.step)

    def change(self, endpoint: str, before: Breaker, after: Breaker) -> None:
        """Note that an endpoint's condition is another one now."""
        for_s = max(after.until - self.clock.monotonic(), 0.0) if after.state is State.OPEN else None
        data = {
            "endpoint": endpoint,
            "from": standing(before),
            "to": standing(after),
            "cause": after.cause,
            "for_s": None if for_s is None else round(for_s, 3),
        }
        self.record.event(Act.ENDPOINT_CHANGED, data, step=self.step)

    def tried(self) -> list[dict[str, Any]]:
        """Return the attempts as the detail of an error shows them."""
        return [{"endpoint": a.endpoint, "loss": a.loss, "error": a.error} for a in self.attempts]

    def _close(self, attempt: Attempt, action: Act, data: Mapping[str, Any]) -> Attempt:
        self.attempts.append(attempt)
        self.record.event(action, data, step=self.step, attempt=attempt.number)
        return attempt


def _counts(usage: Usage) -> dict[str, int]:
    return {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning, "cached": usage.cached}
