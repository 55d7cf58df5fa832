"""Which price holds at which endpoint. A price holds where it was quoted and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from shoal.catalogue.rows import ModelRow, Place, PriceRow, ProviderRow
from shoal.core.money import Price, Tier


def price_at(
    row: ModelRow | None, provider: ProviderRow, place: Place, native: str, usd_per_unit: Mapping[str, Decimal]
) -> Price | None:
    """Return the most particular price that holds here: for this name, then this place, then this provider."""
    if row is None:
        return None
    for wanted in (f"{provider.id}/{native}", f"{provider.id}@{place.id}", provider.id):
        for price in row.price:
            if wanted in price.at:
                return priced(price, place.price_factor or Decimal(1), usd_per_unit)
    return None


def priced(price: PriceRow, factor: Decimal, usd_per_unit: Mapping[str, Decimal]) -> Price:
    """Return a row as the price it is, times a factor."""

    def times(value: Decimal) -> Decimal:
        return value * factor

    def cached(value: Decimal | None) -> Decimal | None:
        return None if value is None else value * factor

    return Price(
        input=times(price.input),
        output=times(price.output),
        cached_input=cached(price.cached_input),
        currency=price.currency,
        usd_per_unit=usd_per_unit[price.currency],
        tiers=tuple(
            Tier(t.above_input_tokens, times(t.input), times(t.output), cached(t.cached_input)) for t in price.tier
        ),
        note=price.note,
    )
