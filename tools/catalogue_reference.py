"""Writes docs/reference/catalogue.md from the facts in the package.

tools/catalogue_reference.py            write the page
tools/catalogue_reference.py --check    say whether it is up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from shoal.catalogue.endpoints import SPOKEN, Builder
from shoal.catalogue.loader import Facts, load_facts
from shoal.catalogue.rows import ModelRow, Place, PriceRow, ProviderRow

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "catalogue.md"
OPENING = """\
# Catalogue

What ships with Shoal about providers, their addresses, models and the ways in which providers differ. Facts are TOML
files in `src/shoal/catalogue/facts/`, each with its sources and its date: one file a provider, models by developer,
`quirks.toml`, `exchange.toml` and `ratings.toml`. What no row states is unknown (`?`), never false.

A bad fact stops the start with file, key path and reason. A model or a provider that is not here is described in
`shoal.toml` as `[[model]]` or `[[provider]]`, under the same checks.

How to read it:

- **Countries** are ISO 3166 letters. `(implied)` says that the country is only inferred from an address. An address
  that promises storage in a country says nothing about where the work is done; its processing is then unknown.
- **Prices** are per million tokens in the provider's own currency, and hold only where they were quoted. Costs are
  reckoned in dollars with the rates in `exchange.toml`. A price that follows the clock is reckoned at its peak.
- **Spoken** says whether this version speaks the dialect of the address.
- **Ratings** are people's preferences on an Elo scale, rounded to five points, each uncertain by the stated number;
  `tools/refresh_ratings.py` renews them from a newer table.

This page is made by `tools/catalogue_reference.py`.
"""


def page(facts: Facts) -> str:
    """Return the whole page."""
    builder = Builder(facts)
    lines = [
        OPENING,
        f"## Providers ({len(facts.providers)})",
        "",
        "| provider | operator's country | kind | key | quirks | as of |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_provider(row) for row in facts.providers.values()),
        "",
        f"## Addresses ({sum(len(row.place) for row in facts.providers.values())})",
        "",
        "| place | address | processing | storage | dialect | spoken |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_place(row, place, builder) for row in facts.providers.values() for place in row.place),
        "",
        f"## Models ({len(facts.models)})",
        "",
        "| model | country | weights | licence | context | at | price in / out | as of |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_model(row) for row in facts.models.values()),
        "",
        f"## Quirks ({len(facts.quirks)})",
        "",
        "| quirk | what | what the client does |",
        "| --- | --- | --- |",
        *(_row(f"`{row.id}`", row.what, row.action) for row in facts.quirks.values()),
        "",
        *_rest(facts),
    ]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _provider(row: ProviderRow) -> str:
    key = ", ".join(f"`{name}`" for name in row.env) or ("none" if row.auth and row.auth.scheme == "none" else "?")
    quirks = ", ".join(row.quirks) or "-"
    return _row(f"`{row.id}` {row.name}", row.home_country or "?", row.kind, key, quirks, row.as_of.isoformat())


def _place(row: ProviderRow, place: Place, builder: Builder) -> str:
    basis = " (implied)" if place.country_basis == "implied" else ""
    country = f"{place.country}{basis}" if place.country else "?"
    if row.kind == "local":
        country = "your own"
    processing = country if "processing" in place.covers else "?"
    storage = country if "storage" in place.covers else row.storage_country or "?"
    spoken = "yes" if builder.speaks(row, place) else "-"
    return _row(
        f"`{row.id}@{place.id}`", f"`{place.base_url}`", processing, storage, place.wire or row.wire or "?", spoken
    )


def _model(row: ModelRow) -> str:
    country = row.home_country or "?"
    if row.base_country and row.base_country != row.home_country:
        country += f" (made from {row.base_country})"
    weights = {True: "open", False: "closed", None: "?"}[row.open_weights]
    at = ", ".join(dict.fromkeys(via.provider for via in row.via)) or row.status
    price = "; ".join(_price(price) for price in row.price) or "?"
    context = f"{row.context:,}" if row.context else "?"
    return _row(f"`{row.id}`", country, weights, row.licence or "?", context, at, price, row.as_of.isoformat())


def _price(price: PriceRow) -> str:
    return f"{price.currency} {price.input} / {price.output} ({', '.join(price.at)})"


def _rest(facts: Facts) -> Iterator[str]:
    rated = sum(len(values) for values in facts.ratings.values())
    yield "## Ratings and exchange rates"
    yield ""
    yield f"{len(facts.ratings)} models have {rated} ratings, as of {facts.ratings_as_of}."
    yield f"Exchange rates are those of {facts.exchange.as_of.isoformat()} ({facts.exchange.source[0]})."
    yield f"This version speaks {', '.join(f'`{dialect}`' for dialect in SPOKEN)}."
    yield ""


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with `--check` compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = page(load_facts())
    if parser.parse_args(arguments).check:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.name} is {'up to date' if current else 'out of date; run tools/catalogue_reference.py'}")
        return 0 if current else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
