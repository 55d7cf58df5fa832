"""`shoal add`: puts a provider of the catalogue into shoal.toml, after saying what that means.

Knows how to say it. What a provider is comes from the catalogue, and the file is written by settings; a key is only
ever named.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.main import Shared

if TYPE_CHECKING:
    from shoal.catalogue.endpoints import Builder
    from shoal.catalogue.loader import Facts
    from shoal.catalogue.rows import ProviderRow
    from shoal.core.endpoint import Endpoint
    from shoal.settings import Loaded

NOTES_SHOWN = 6


@click.command("add", short_help="Add a provider of the catalogue to shoal.toml (never its key).")
@click.argument("provider")
@click.option("--place", "places", multiple=True, metavar="PLACE", help="Use this place; default: the first that fits.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Use this model; default: all that are known.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds the key.")
@click.option("--key-file", metavar="FILE", help="The file that holds the key, readable for you alone.")
@click.option("--base-url", metavar="URL", help="Address of a local server.")
@click.option("--variable", "pairs", multiple=True, metavar="NAME=VALUE", help="Fills a blank of the address.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print what was added as JSON; needs --yes.")
@click.pass_obj
def command(
    shared: Shared,
    provider: str,
    places: tuple[str, ...],
    models: tuple[str, ...],
    pairs: tuple[str, ...],
    key_env: str | None,
    key_file: str | None,
    base_url: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Add PROVIDER to the pool: say who it is, under whose law, where, and at what price; then write shoal.toml.

    `shoal models --all` shows whom the catalogue knows.

    \b
    shoal add deepseek
    shoal add alibaba --place intl --key-file ~/.keys/alibaba
    shoal add vllm --base-url http://127.0.0.1:8001/v1 --model qwen/qwen3-8b --yes
    """
    from shoal.cli.show import print_json
    from shoal.settings import add_provider, new_file

    path = new_file(shared.config)
    loaded = _loaded(path)
    variables = _variables(pairs)
    named = {"key_env": key_env, "key_file": key_file, "base_url": base_url}
    told = offer(loaded, provider, places, models, named, variables, path)
    if not as_json:
        _print(told)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise click.UsageError(f"nothing was written; say --yes to write `{path}` without being asked")
        click.confirm(f"write this to {path}?", abort=True)
    add_provider(path, provider, places, models, variables=variables, **named)
    if as_json:
        print_json(told)
        return
    click.echo(f"written to {path}")
    if told["key"]["variable"] and not told["key"]["found"]:
        click.echo(f"next: {_way_to_key(told['key']['variable'])}, then: shoal doctor")
    else:
        click.echo("next: shoal doctor; a Shoal that is running reads its settings at the start")


def offer(
    loaded: Loaded,
    provider_id: str,
    places: Sequence[str],
    models: Sequence[str],
    named: Mapping[str, str | None],
    variables: Mapping[str, str],
    path: Path,
) -> dict[str, Any]:
    """Return what adding a provider would mean, in plain values; writes nothing.

    Raises:
        SetupError: there is no such provider, it cannot be called, or it is in the file already.
    """
    from shoal.assembly import policy_of
    from shoal.catalogue.endpoints import Builder
    from shoal.catalogue.entries import Entry
    from shoal.catalogue.loader import load_facts
    from shoal.core.label import NOTHING
    from shoal.core.selector import Narrowing

    facts = loaded.facts(load_facts())
    builder = Builder(facts, instance_country=loaded.settings.instance.country)
    row = _row(facts, provider_id)
    _refuse(loaded, builder, row, places, variables, named, path)
    key_file = named.get("key_file")
    entry = Entry(
        provider=provider_id,
        places=tuple(places),
        models=tuple(models),
        key=named.get("key_env") or (f"file:{Path(key_file).expanduser()}" if key_file else None),
        base_url=named.get("base_url"),
        variables=dict(variables),
        where=f"shoal add {provider_id}",
    )
    endpoints = builder.entry(entry)
    verdicts = policy_of(loaded).judge_all(endpoints, NOTHING, Narrowing())
    chosen = {endpoint.place for endpoint in endpoints}
    return {
        "provider": provider_id,
        "name": row.name,
        "file": str(path),
        "operator": row.legal_entity or row.name,
        "operator_country": endpoints[0].operator_country,
        "places": [_place(place, endpoints) for place in dict.fromkeys(e.place for e in endpoints)],
        "other_places": [place.id for place in row.place if place.id not in chosen and builder.speaks(row, place)],
        "models": [_model(endpoint) for endpoint in endpoints],
        "key": _key(endpoints[0]),
        "law": {
            "permitted": sum(v.is_permit for v in verdicts),
            "refused": [{"endpoint": v.endpoint, "rules": list(v.rules)} for v in verdicts if not v.is_permit],
        },
        "data": {
            "storage_country": row.storage_country,
            "retention_days": row.retention_days,
            "trains_on_input": row.trains_on_input,
        },
        "not_available_in": row.not_available_in and list(row.not_available_in),
        "government_restrictions": list(row.government_restrictions),
        "notes": dict(row.notes),
        "evidence": row.evidence,
        "as_of": row.as_of.isoformat(),
    }


def _loaded(path: Path) -> Loaded:
    from shoal.settings import Loaded, Settings, load

    return load(path) if path.exists() else Loaded(Settings())


def _variables(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise click.UsageError(f"--variable takes NAME=VALUE, found `{pair}`")
        found[name] = value
    return found


def _row(facts: Facts, provider_id: str) -> ProviderRow:
    from difflib import get_close_matches

    from shoal.core.errors import SetupError

    row = facts.providers.get(provider_id)
    if row is None:
        names = {name.casefold(): name for name in facts.providers}
        names |= {known.name.casefold(): known.id for known in facts.providers.values()}
        close = dict.fromkeys(names[n] for n in get_close_matches(provider_id.casefold(), names, n=4, cutoff=0.5))
        close |= dict.fromkeys(name for name in facts.providers if provider_id.casefold() in name)
        hint = f"close to it: {', '.join(close)}" if close else f"there are {', '.join(sorted(facts.providers))}"
        raise SetupError(
            f"there is no provider `{provider_id}` in the catalogue; {hint}; a service of your own goes into "
            "shoal.toml as `[[provider]]` with a `base_url`"
        )
    return row


def _refuse(
    loaded: Loaded,
    builder: Builder,
    row: ProviderRow,
    places: Sequence[str],
    variables: Mapping[str, str],
    named: Mapping[str, str | None],
    path: Path,
) -> None:
    """Refuse what the writer or the catalogue would refuse later, in words that fit a command."""
    from shoal.catalogue.checks import TEMPLATE
    from shoal.core.errors import SetupError

    if named.get("key_env") and named.get("key_file"):
        raise click.UsageError("a key comes from one place: give --key-env or --key-file")
    for known in loaded.settings.provider:
        if known.id == row.id and (not places or not known.places or set(places) & set(known.places)):
            raise SetupError(f"{path}: `{row.id}` is there already; edit its `[[provider]]` table to change it")
    if row.kind == "no-public-api":
        raise SetupError(f"`{row.id}` ({row.name}) has no public API, so there is nothing to call yet")
    wanted = [place for place in row.place if (place.id in places if places else builder.speaks(row, place))]
    for place in wanted if places else wanted[:1]:
        for blank in TEMPLATE.findall(place.base_url):
            if blank not in variables and not named.get("base_url"):
                raise SetupError(f"the address `{place.base_url}` has a blank; fill it: --variable {blank}=...")


def _place(place_id: str | None, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    one = next(endpoint for endpoint in endpoints if endpoint.place == place_id)
    return {
        "place": place_id,
        "base_url": one.base_url,
        "host_country": one.host_country,
        "storage_country": one.storage_country,
        "region_pinned": one.region_pinned,
        "basis": one.attested,
        "note": one.note,
    }


def _model(endpoint: Endpoint) -> dict[str, Any]:
    from shoal.cli.models import row

    told = row(endpoint)
    return {name: told[name] for name in ("id", "model", "developer", "developer_country", "licence", "context")} | {
        "price": told["price"]
    }


def _key(endpoint: Endpoint) -> dict[str, Any]:
    from shoal.cli.doctor import key_found

    found, warning = key_found(endpoint)
    return {"variable": endpoint.key_env, "needed": endpoint.auth != "none", "found": found, "warning": warning}


def _way_to_key(variable: str) -> str:
    return f"put the key into {variable[5:]}" if variable.startswith("file:") else f"export {variable}=..."


def _print(told: Mapping[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from shoal.cli.models import amount
    from shoal.cli.show import console

    out = console()
    out.print(f"[bold]{escape(told['name'])}[/bold]  [dim]{told['provider']}[/dim]\n")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, line in lines(told):
        table.add_row(title, escape(line))
    out.print(table)
    prices = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("model", "trained", "licence", "context", "in / out per million tokens"):
        prices.add_column(name, overflow="fold", no_wrap=name == "context")
    for model in told["models"]:
        price = model["price"]
        prices.add_row(
            escape(model["id"]),
            f"{model['developer'] or '?'} ({model['developer_country'] or '?'})",
            model["licence"] or "?",
            f"{model['context']:,}" if model["context"] else "?",
            f"{amount(price['input'])} / {amount(price['output'])} {price['currency']}" if price else "unknown",
        )
    out.print()
    out.print(prices)
    out.print()


def lines(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is said about a provider before it is added, as titled lines."""
    found = [("operator", f"{told['operator']}, under the law of {told['operator_country'] or '? (unknown)'}")]
    for place in told["places"]:
        where = f"inference in {place['host_country']}" if place["host_country"] else "country of inference unknown"
        basis = f" ({place['basis']})" if place["host_country"] and place["basis"] else ""
        found.append(("place", f"{place['place'] or 'own'}: {where}{basis}, {place['base_url']}"))
        if place["note"]:
            found.append(("", place["note"]))
    if told["other_places"]:
        found.append(("other places", ", ".join(told["other_places"]) + "  (--place)"))
    key = told["key"]
    if not key["needed"]:
        found.append(("key", "none is needed"))
    else:
        state = "found" if key["found"] else f"not set now: {_way_to_key(key['variable'])}"
        found.append(("key", f"from {key['variable']}, {state}"))
    if key["warning"]:
        found.append(("", key["warning"]))
    law = told["law"]
    found.append(("law", f"{law['permitted']} of {len(told['models'])} endpoints permitted by your rules"))
    for row in law["refused"][:3]:
        found.append(("", f"{row['endpoint']} is refused by {', '.join(row['rules'])}"))
    data = told["data"]
    days = "unknown" if data["retention_days"] is None else f"{data['retention_days']} days"
    trains = {None: "unknown", True: "yes", False: "no"}[data["trains_on_input"]]
    found.append(("data", f"stored in {data['storage_country'] or '? (unknown)'}, kept {days}, trained on: {trains}"))
    if told["not_available_in"]:
        found.append(("not in", "not available in " + ", ".join(told["not_available_in"])))
    if told["government_restrictions"]:
        found.append(("restricted", "; ".join(told["government_restrictions"])))
    for name, text in list(told["notes"].items())[:NOTES_SHOWN]:
        found.append((name.replace("_", " "), text))
    found.append(("facts", f"as of {told['as_of']}, evidence: {told['evidence']}"))
    return found
