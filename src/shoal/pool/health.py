"""Health: what a breaker's state means, in words for people and for the masks.

Knows breakers. Decides nothing: the breaker's table does.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.core.errors import Loss
from shoal.pool.breaker import Breaker, State
from shoal.pool.retry import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Health:
    """How one endpoint is at this moment; `reason` is empty where it is well."""

    able: bool
    reason: str
    state: State
    cause: Loss | None = None
    again_in_s: float = 0.0
    in_flight: int = 0
    waiting: int = 0


def standing(breaker: Breaker) -> str:
    """Return one word for what is held against an endpoint, as `endpoint.changed` events carry it."""
    if breaker.state is not State.OPEN:
        return str(breaker.state)
    match breaker.cause:
        case Loss.SCARCE:
            return "cooling"
        case Loss.ACCOUNT:
            return "parked"
        case Loss.WITHDRAWN:
            return "withdrawn"
        case _:
            return "open"


def reason(breaker: Breaker, now: float) -> str:
    """Return why an endpoint is not asked freely, or an empty text."""
    match breaker.state:
        case State.CLOSED:
            return ""
        case State.PROBING:
            return "one call is finding out whether it works again"
        case State.CONFIRMING:
            return "it reported that it is not available here; one call is confirming that"
    left = max(breaker.until - now, 0.0)
    match breaker.cause:
        case Loss.SCARCE:
            return f"it asked for patience (429 or quota), {left:.0f} s are left"
        case Loss.ACCOUNT:
            return f"parked: it refused the key or the account; see `shoal doctor`, next look in {left:.0f} s"
        case Loss.WITHDRAWN:
            return f"withdrawn: it is not available here any more, confirmed; next look in {left:.0f} s"
        case _:
            return f"it failed too often, next try in {left:.0f} s"


def ailment(breaker: Breaker, now: float) -> str | None:
    """Return why an endpoint should not be on a route at all; what cools down within a moment may stay on it."""
    if breaker.state is State.OPEN and breaker.until - now > PATIENCE_S:
        return reason(breaker, now)
    return None
