"""`shoal models`: what is in the pool, or in the whole catalogue, narrowed by selectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.main import Shared

if TYPE_CHECKING:
    from shoal.core.endpoint import Endpoint

WIDE = 24  # columns the name of an endpoint keeps on a narrow terminal


@click.command("models", short_help="List the models in the pool, or the whole catalogue with --all.")
@click.option("--only", multiple=True, metavar="SEL", help="Keep what a selector names, e.g. country:KR, open-weights.")
@click.option("--without", multiple=True, metavar="SEL", help="Leave out what a selector names.")
@click.option("--all", "everything", is_flag=True, help="The whole catalogue, also what is not in the pool.")
@click.option("--json", "as_json", is_flag=True, help='Print {"models": [...]}.')
@click.pass_obj
def command(shared: Shared, only: tuple[str, ...], without: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """List models: where they run, who runs them, who trained them, licence, price, context.

    A fact that is unknown shows as `?` and never matches a selector that needs it.

    \b
    shoal models --only country:KR --only open-weights
    shoal models --all --without operator-country:US
    """
    from shoal.cli.show import print_json
    from shoal.core.errors import CallerError
    from shoal.core.selector import Narrowing, parse

    if shared.url is not None:
        raise CallerError(
            f"`shoal models` reads settings, so it runs where that Shoal runs; its names are at {shared.url}/v1/models"
        )
    narrowing = Narrowing(tuple(map(parse, only)), tuple(map(parse, without)))
    endpoints = catalogue_endpoints(shared) if everything else asyncio.run(_pool(shared))
    kept = [e for e in endpoints if narrowing.objection(e) is None]
    if as_json:
        print_json({"models": [row(e) for e in kept]})
        return
    _print(kept, len(endpoints), everything)


async def _pool(shared: Shared) -> Sequence[Endpoint]:
    from shoal.cli.instance import open_here

    async with open_here(shared) as instance:
        return instance.snapshot.endpoints


def catalogue_endpoints(shared: Shared) -> Sequence[Endpoint]:
    """Return every endpoint the catalogue can describe, whether or not it can be called yet."""
    from shoal.catalogue.endpoints import Builder
    from shoal.catalogue.loader import load_facts
    from shoal.settings import load

    loaded = load(shared.config)
    facts = loaded.facts(load_facts())
    return Builder(facts, instance_country=loaded.settings.instance.country).everything()


def row(endpoint: Endpoint) -> dict[str, Any]:
    """Return one endpoint in plain values; None is unknown."""
    model, price = endpoint.model, endpoint.price
    return {
        "id": endpoint.id,
        "model": model.id,
        "developer": model.developer,
        "host_country": endpoint.host_country,
        "operator": endpoint.operator,
        "operator_country": endpoint.operator_country,
        "developer_country": model.developer_country,
        "base_country": model.base_country,
        "open_weights": model.open_weights,
        "licence": model.licence,
        "context": model.context,
        "tools": model.tools,
        "input": model.input,
        "languages": model.languages,
        "price": price
        and {"currency": price.currency, "input": price.input, "output": price.output, "note": price.note},
        "dialect": endpoint.dialect,
        "practice": endpoint.practice,
        "local": endpoint.local,
        "status": model.status,
    }


def _print(kept: Sequence[Endpoint], considered: int, everything: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from shoal.cli.show import console

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("endpoint", "host", "run by", "trained", "open", "licence", "context", "in / out"):
        fixed = name not in ("endpoint", "licence", "in / out")
        table.add_column(name, overflow="fold", no_wrap=fixed, min_width=WIDE if name == "endpoint" else None)
    for e in kept:
        trained = e.model.developer_country or "?"
        if e.model.base_country and e.model.base_country != trained:
            trained += f" on {e.model.base_country}"
        operator = e.operator_country or "?"
        table.add_row(
            escape(e.id) + (" [dim]local[/dim]" if e.local else ""),
            e.host_country or "?",
            operator,
            trained,
            {None: "?", True: "[green]yes[/green]", False: "no"}[e.model.open_weights],
            escape((e.model.licence or "?").removeprefix("LicenseRef-")),
            f"{e.model.context // 1000}k" if e.model.context else "?",
            f"{amount(e.price.input)} / {amount(e.price.output)} {e.price.currency}" if e.price else "?",
        )
    out = console()
    out.print(table)
    where = "endpoints of the catalogue" if everything else "endpoints in the pool"
    more = "" if everything else "; --all shows the whole catalogue, `shoal add PROVIDER` adds from it"
    out.print(f"[dim]{len(kept)} of {considered} {where}; prices per million tokens{more}[/dim]", soft_wrap=True)


def amount(price: Decimal) -> str:
    """Return a price for people: four digits that count at most."""
    return f"{Decimal(f'{price:.4g}'):f}"
