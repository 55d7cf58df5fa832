"""Attempts: one try at one endpoint, and what a route gave in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from shoal.core.endpoint import Endpoint
from shoal.core.errors import Loss
from shoal.core.item import Answer, Delta

Emit = Callable[[Delta], Awaitable[None]]
"""Takes one delta of the final step towards the client; awaiting it is the back-pressure."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: who, how it ended, what it cost. `cost_usd` is None where the price is unknown."""

    number: int
    endpoint: str
    succeeded: bool
    loss: Loss | None = None
    error: str | None = None
    upstream_status: int | None = None
    latency_s: float = 0.0
    first_byte_s: float | None = None
    cost_usd: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class Served:
    """A route that succeeded: the answer, the endpoint that gave it, and every attempt on the way."""

    answer: Answer
    endpoint: Endpoint
    cost_usd: Decimal | None
    attempts: tuple[Attempt, ...]
    latency_s: float
