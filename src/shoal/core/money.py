"""Money: exact decimals, prices in the provider's currency, costs in dollars.

A price that is unknown is `None` and never zero. The dated exchange table is a fact of the catalogue and is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from shoal.core.item import Usage

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Tier:
    """Prices that hold from a prompt length on (context-tier pricing)."""

    above_input_tokens: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Price per million tokens in `currency`; `usd_per_unit` is what one unit of that currency costs in dollars."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    currency: str = "USD"
    usd_per_unit: Decimal = Decimal(1)
    tiers: tuple[Tier, ...] = ()
    note: str | None = None

    def cost_usd(self, usage: Usage) -> Decimal:
        """Return what `usage` costs in dollars, exactly."""
        price_in, price_out, price_cached = self.input, self.output, self.cached_input
        for tier in sorted(self.tiers, key=lambda t: t.above_input_tokens):
            if usage.input > tier.above_input_tokens:
                price_in, price_out, price_cached = tier.input, tier.output, tier.cached_input
        cached = usage.cached if price_cached is not None else 0
        fresh = usage.input - cached
        total = fresh * price_in + usage.output * price_out + cached * (price_cached or Decimal(0))
        return total / MILLION * self.usd_per_unit


FREE = Price(Decimal(0), Decimal(0))

Rates = Mapping[str, Decimal]
"""Currency -> dollars for one unit of it."""
