"""What to do after a failed attempt: the same endpoint again, another one, or this one never again for this request.

Knows the failure and what is left to try. Knows no clock and sends nothing. Two bounds keep trying again from making
an outage worse: an endpoint gets at most `1 + retries` tries from one request, and tries again on the same endpoint
draw on an allowance that requests fill at a fifth of their own rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.core.errors import Loss, UpstreamError, UpstreamTimeout
from shoal.pool.store import Store, Table

SHARE = 0.2  # tries again per request, in the long run
ALLOWANCE = 10.0  # tries again in a burst
BACKOFF_S = 0.1  # mean pause before the first try again; doubles
BACKOFF_MAX_S = 2.0
PATIENCE_S = 5.0  # how long a request waits for an endpoint that cools down when nobody else is left


@dataclass(frozen=True, slots=True)
class Again:
    """Ask the same endpoint once more after `pause_s`."""

    pause_s: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Ask another endpoint; this one may be asked again after `pause_s` if nobody else is left, None: not again."""

    pause_s: float | None


Decision = Again | Elsewhere


def decide(failure: UpstreamError, *, tries: int, retries: int, others: bool, dice: float) -> Decision:
    """Return what to do after the `tries`-th try at an endpoint failed; `others` says that an equal one is there.

    Only a failure that is quick and says nothing lasting is worth the same endpoint at once: a refused connection
    will be refused again, and silence has cost enough already. `dice` in [0, 1) spreads the pauses.
    """
    if failure.loss in (Loss.REQUEST, Loss.ACCOUNT, Loss.WITHDRAWN) or tries > retries:
        return Elsewhere(None)
    pause_s = min(BACKOFF_S * 2 ** (tries - 1), BACKOFF_MAX_S) * (0.5 + dice)
    if failure.loss is Loss.SCARCE:
        return Elsewhere(max(pause_s, failure.retry_after_s or 0.0))
    is_quick = failure.sent and not isinstance(failure, UpstreamTimeout) and failure.loss is Loss.TRANSIENT
    if is_quick and not others:
        return Again(pause_s)
    return Elsewhere(pause_s)


def deposit(store: Store, key: str) -> None:
    """Let one request add its share to the allowance of an endpoint."""
    while True:
        held = store.read(Table.RETRIES, key)
        if held is None or held >= ALLOWANCE or store.swap(Table.RETRIES, key, held, min(held + SHARE, ALLOWANCE)):
            return


def withdraw(store: Store, key: str) -> bool:
    """Take one try again out of the allowance; return False where it is used up."""
    while True:
        held = store.read(Table.RETRIES, key)
        left = ALLOWANCE if held is None else held
        if left < 1:
            return False
        if store.swap(Table.RETRIES, key, held, left - 1):
            return True
