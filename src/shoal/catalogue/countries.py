"""Which texts are countries: ISO 3166-1 alpha-2, and the two unions a fact may name instead."""

from __future__ import annotations

from shoal.core.country import COUNTRIES

UNIONS = frozenset({"EU", "EEA"})


def is_country(text: str) -> bool:
    """Return whether the text is a country's two letters."""
    return text in COUNTRIES


def is_territory(text: str) -> bool:
    """Return whether the text is a country or one of the unions."""
    return text in COUNTRIES or text in UNIONS
