"""`shoal doctor`: every endpoint of the pool, what is wrong with it, and the way out.

Knows how to gather and tell. It asks each address once for its list of models, never with anybody's text, and only
where policy would permit sending to it.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.main import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.assembly import Instance
    from shoal.core.endpoint import Endpoint
    from shoal.core.verdict import Verdict
    from shoal.pool.probe import Reached

FACTS = ("host_country", "operator_country", "developer_country", "price", "rating", "licence", "context", "tools")
RUNNING_S = 5.0
Probes = Mapping[tuple[str, str | None], "Reached"]


@click.command("doctor", short_help="Check every endpoint: reachable, key, dialect, facts missing, and the way out.")
@click.option("--probe/--no-probe", default=True, show_default=True, help="Whether to ask the addresses at all.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.pass_obj
def command(shared: Shared, probe: bool, as_json: bool) -> None:
    """Check the pool: can each endpoint be reached, is its key there, may it be asked, which facts are missing.

    Ends with 1 only where no endpoint at all could serve.

    \b
    shoal doctor
    shoal doctor --no-probe --json
    """
    from shoal.cli.show import print_json
    from shoal.core.errors import CallerError

    if shared.url is not None:
        raise CallerError("`shoal doctor` reads settings and keys, so it runs where that Shoal runs; leave out --url")
    told = asyncio.run(_examine(shared, probe=probe, quiet=as_json))
    if as_json:
        print_json(told)
    else:
        _print(told)
    if not told["summary"]["able"]:
        click.get_current_context().exit(1)


async def _examine(shared: Shared, *, probe: bool, quiet: bool) -> dict[str, Any]:
    from shoal.cli.instance import open_here, running_url, state_dir

    url = running_url(state_dir(shared))
    health, trouble = await _health(shared) if url is not None else ({}, None)
    async with open_here(shared) as instance:
        endpoints = instance.snapshot.endpoints
        verdicts = _verdicts(instance)
        keys = {endpoint.id: key_found(endpoint) for endpoint in endpoints}
        reached: Probes = await _probe(endpoints, verdicts, quiet=quiet) if probe else {}
        rows = [
            examined(e, v, keys[e.id], reached.get(_door(e)), health.get(e.id))
            for e, v in zip(endpoints, verdicts, strict=True)
        ]
        return report(instance, rows, url) | {"running_trouble": trouble}


async def _health(shared: Shared) -> tuple[dict[str, str], str | None]:
    """Return what the running Shoal says of each endpoint, or why it does not say it."""
    from shoal.cli.instance import backend
    from shoal.core.errors import ShoalError

    try:
        async with asyncio.timeout(RUNNING_S), backend(shared) as shoal:
            return {row["id"]: row["shoal"]["health"] for row in await shoal.models() if "shoal" in row}, None
    except ShoalError as error:
        return {}, error.message
    except TimeoutError:
        return {}, f"it did not answer within {RUNNING_S:g} s; stop it and start it again"


def _verdicts(instance: Instance) -> Sequence[Verdict]:
    from shoal.core.label import NOTHING
    from shoal.core.selector import Narrowing

    return instance.policy.judge_all(instance.snapshot.endpoints, NOTHING, Narrowing())


def key_found(endpoint: Endpoint) -> tuple[bool, str | None]:
    """Return whether an endpoint's key is there, and what is wrong with where it lies; never the key."""
    from shoal.core.errors import SetupError
    from shoal.settings import secret

    if endpoint.key_env is None:
        return False, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = secret(endpoint.key_env) is not None
        except SetupError as error:
            return False, error.message
    return found, str(caught[0].message) if caught else None


def _door(endpoint: Endpoint) -> tuple[str, str | None]:
    return endpoint.base_url, endpoint.key_env


async def _probe(endpoints: Sequence[Endpoint], verdicts: Sequence[Verdict], *, quiet: bool) -> Probes:
    """Ask each address once, all at the same time, where policy permits anything to be sent to it."""
    from shoal.pool.probe import AT_ONCE, reach
    from shoal.pool.transport import AiohttpTransport
    from shoal.settings import secret

    doors = {_door(e): e for e, v in zip(endpoints, verdicts, strict=True) if v.is_permit}
    transport, bound = AiohttpTransport(), asyncio.Semaphore(AT_ONCE)
    found: dict[tuple[str, str | None], Reached] = {}

    async def ask(door: tuple[str, str | None], endpoint: Endpoint, advance: Callable[[], None]) -> None:
        async with bound:
            key = secret(endpoint.key_env) if endpoint.key_env and key_found(endpoint)[0] else None
            found[door] = await reach(transport, endpoint, key)
        advance()

    try:
        with _progress(len(doors), quiet=quiet) as advance, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file with a key that others can read is told of in the report
            await asyncio.gather(*(ask(door, endpoint, advance) for door, endpoint in doors.items()))
    finally:
        await transport.close()
    return found


def _progress(total: int, *, quiet: bool) -> Any:
    """Return a progress bar on stderr that leaves nothing behind, or nothing where nobody watches."""
    from contextlib import contextmanager

    @contextmanager
    def bar() -> Any:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        if quiet or not console.is_terminal:
            yield lambda: None
            return
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("asking addresses", total=total)
            yield lambda: progress.advance(task)

    return bar()


def examined(
    endpoint: Endpoint, verdict: Verdict, key: tuple[bool, str | None], reached: Reached | None, health: str | None
) -> dict[str, Any]:
    """Return what is known of one endpoint, and its problems with a way out of each."""
    needs_key = endpoint.auth != "none" and not endpoint.local
    told: dict[str, Any] = {
        "id": endpoint.id,
        "base_url": endpoint.base_url,
        "dialect": endpoint.dialect,
        "kind": "practice" if endpoint.practice else "local" if endpoint.local else "provider",
        "host_country": endpoint.host_country,
        "operator_country": endpoint.operator_country,
        "key": {"needed": needs_key, "variable": endpoint.key_env, "found": key[0]},
        "law": {"permitted": verdict.is_permit, "rules": list(verdict.rules), "reason": verdict.reason},
        "reached": None
        if reached is None
        else {"status": reached.status, "seconds": round(reached.latency_s, 3), "error": reached.error},
        "health": health,
        "missing_facts": missing(endpoint),
    }
    problems = list(_problems(endpoint, verdict, key, reached, health, needs_key=needs_key))
    told["problems"] = [{"what": what, "way_out": way_out} for what, way_out, _ in problems]
    told["able"] = not any(stops for _, _, stops in problems)
    return told


def missing(endpoint: Endpoint) -> list[str]:
    """Return the facts nobody has stated about an endpoint; a report card stands for a rating."""
    known = {
        "host_country": endpoint.host_country,
        "operator_country": endpoint.operator_country,
        "developer_country": endpoint.model.developer_country,
        "price": endpoint.price,
        "rating": (endpoint.model.ratings or endpoint.card) or None,
        "licence": endpoint.model.licence,
        "context": endpoint.model.context,
        "tools": endpoint.model.tools,
    }
    return [name for name in FACTS if known[name] is None]


def _problems(
    endpoint: Endpoint,
    verdict: Verdict,
    key: tuple[bool, str | None],
    reached: Reached | None,
    health: str | None,
    *,
    needs_key: bool,
) -> list[tuple[str, str, bool]]:
    """Return (what, way out, whether it keeps the endpoint from serving)."""
    variable = endpoint.key_env or ""
    found: list[tuple[str, str, bool]] = []
    if not verdict.is_permit:
        found.append((f"refused by {', '.join(verdict.rules)}", "edit [policy] in shoal.toml to permit it", True))
    if needs_key and not key[0]:
        way = f"put the key into {variable[5:]}" if variable.startswith("file:") else f"export {variable}=..."
        found.append(("its key is missing", way, True))
    if key[1]:
        found.append((key[1], "see the message", False))
    if reached is not None and not reached.is_reached:
        way = "start its server" if endpoint.local else "check the network and `base_url`"
        way = "`shoal practice revive NAME`, or start Shoal again" if endpoint.practice else way
        found.append((f"not reached: {reached.error}", way, True))
    elif reached is not None and key[0] and reached.key == "refused":
        found.append((f"it refused the key ({reached.status})", f"put a valid key into {variable}", True))
    if health not in (None, "able") and not (needs_key and not key[0]):
        found.append((f"the running Shoal says: {health}", "it is asked again by itself after that time", True))
    return found


def report(instance: Instance, rows: Sequence[Mapping[str, Any]], url: str | None) -> dict[str, Any]:
    """Return the whole report in plain values."""
    from shoal.cli.serve import unused_keys

    total = len(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keys = unused_keys(instance)
    return {
        "endpoints": list(rows),
        "summary": {
            "endpoints": total,
            "able": sum(row["able"] for row in rows),
            "permitted": sum(row["law"]["permitted"] for row in rows),
            "with_rating": total - sum("rating" in row["missing_facts"] for row in rows),
            "with_price": total - sum("price" in row["missing_facts"] for row in rows),
            "with_country": total - sum("host_country" in row["missing_facts"] for row in rows),
            "practice": sum(row["kind"] == "practice" for row in rows),
        },
        "keys_found": keys,
        "local_servers": sorted({row["base_url"] for row in rows if row["kind"] == "local"}),
        "running": url,
        "settings": instance.loaded.file,
        "state": instance.state,
        "journal": {"healthy": instance.ledger.healthy},
        "versions": _versions(instance),
    }


def _versions(instance: Instance) -> dict[str, str]:
    import platform
    from importlib.metadata import version

    from shoal import __version__

    return {
        "shoal": __version__,
        "python": platform.python_version(),
        "cedarpy": version("cedarpy"),
        "aiohttp": version("aiohttp"),
        "facts": instance.facts.digest,
        "ratings_as_of": instance.facts.ratings_as_of,
        "pool": instance.snapshot.version,
        "policy": instance.policy.version,
    }


def _print(told: Mapping[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from shoal.cli.show import console

    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "endpoint", "reached", "key", "dialect", "law", "facts missing"):
        table.add_column(name, overflow="fold", no_wrap=name in ("", "reached", "key"))
    for row in told["endpoints"]:
        mark = "[green]ok[/green]" if row["able"] else "[red]no[/red]"
        if row["able"] and row["problems"]:
            mark = "[yellow]ok[/yellow]"
        table.add_row(
            mark,
            escape(row["id"]),
            _reached_words(row["reached"]),
            _key_words(row["key"]),
            row["dialect"],
            "permits" if row["law"]["permitted"] else "[red]refuses[/red]",
            f"[dim]{', '.join(row['missing_facts']).replace('_country', '')}[/dim]",
        )
    out.print(table)
    for way_out, what, endpoints in grouped(told["endpoints"]):
        from shoal.cli.show import few

        out.print(f"\n[yellow]{escape(few(endpoints, 3))}[/yellow]: {escape(what)}\n  -> {escape(way_out)}")
    out.print()
    for title, line in _summary(told):
        out.print(f"[dim]{title:<10}[/dim]{escape(line)}", soft_wrap=True)


def grouped(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Return each problem once: way out, what, and the endpoints that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for problem in row["problems"]:
            found.setdefault((problem["way_out"], problem["what"]), []).append(row["id"])
    return [(way_out, what, endpoints) for (way_out, what), endpoints in found.items()]


def _reached_words(reached: Mapping[str, Any] | None) -> str:
    if reached is None:
        return "[dim]not asked[/dim]"
    if reached["status"] is None:
        return "[red]no[/red]"
    return f"{reached['seconds'] * 1000:.0f} ms"


def _key_words(key: Mapping[str, Any]) -> str:
    if not key["needed"]:
        return "[dim]none[/dim]"
    return "found" if key["found"] else "[red]missing[/red]"


def _summary(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    some, versions = told["summary"], told["versions"]
    lines = [
        ("pool", f"{some['able']} of {some['endpoints']} endpoints can serve; {some['permitted']} permitted by policy"),
        (
            "facts",
            f"of {some['endpoints']} endpoints {some['with_rating']} have a rating or report card, "
            f"{some['with_price']} a price, {some['with_country']} a host country",
        ),
    ]
    if some["practice"] == some["endpoints"]:
        lines.append(("", "only practice models: they answer number questions; `shoal add PROVIDER` adds real ones"))
    elif not any(row["able"] for row in told["endpoints"] if row["kind"] != "practice"):
        lines.append(("", "none but practice models can serve, and they only serve requests that name them"))
    for row in told["keys_found"]:
        lines.append(("key", f"{row['variable']} is set but not used: shoal add {row['provider']}"))
    local = ", ".join(told["local_servers"])
    lines.append(("local", f"servers found: {local}" if local else "no local server found on the usual ports"))
    running = (
        f"runs at {told['running']}" if told["running"] else "no Shoal runs on this state; `shoal serve` starts it"
    )
    lines.append(("running", running))
    if told["running_trouble"]:
        lines.append(("", f"but it does not say how its endpoints are: {told['running_trouble']}"))
    lines.append(("settings", str(told["settings"] or "no shoal.toml, every default holds; `shoal init` writes one")))
    lines.append(("journal", f"{'healthy' if told['journal']['healthy'] else 'cannot be written'}, in {told['state']}"))
    lines.append(("versions", ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in versions.items())))
    return lines
