"""`shoal serve`: the gateway on a port, until it is told to stop."""

from __future__ import annotations

import gc
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.main import Shared

if TYPE_CHECKING:
    from shoal.assembly import Instance


@click.command("serve", short_help="Serve the gateway on a port until stopped.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port (default 8400, or [server] port; 0 takes a free one)."
)
@click.option("--host", help="Address to listen on (default 127.0.0.1; another needs a key).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
@click.pass_obj
def command(shared: Shared, port: int | None, host: str | None, as_json: bool) -> None:
    """Serve Shoal on a port until SIGTERM or Ctrl-C.

    Starts the practice pool beside it, looks for local servers on their usual ports, and prints what is in the pool,
    what the law's default is, which keys were found but are not used, and three commands to try.

    \b
    shoal serve
    shoal serve --port 9000
    """
    from shoal.gateway.server import run

    run(_serve(shared, port, host, as_json))


async def _serve(shared: Shared, port: int | None, host: str | None, as_json: bool) -> None:
    from shoal.assembly import state_of
    from shoal.cli.instance import NOTICE, notice, open_here, running_url
    from shoal.gateway.app import Gateway
    from shoal.gateway.connection import Bounds
    from shoal.gateway.guard import Guard
    from shoal.gateway.server import open_sockets, serve, url_of
    from shoal.settings import load, secret
    from shoal.wire.door_chat import ChatDoor

    loaded = load(shared.config)
    server = loaded.settings.server
    bind = host or server.host
    keys = [secret(name) or "" for name in loaded.client_keys()]
    guard = Guard(bind, keys=keys, hosts=server.hosts)
    sockets = open_sockets(bind, server.port if port is None else port)
    url = url_of(sockets)
    state = state_of(loaded, shared.state)
    other = running_url(state)
    if other == url:  # the port is ours, so whoever wrote that is gone
        other = None
        (state / NOTICE).unlink(missing_ok=True)
    try:
        async with open_here(shared, serving=True) as instance, notice(state, url):
            if other is None:  # whatever is still open here belongs to a process that is gone
                await instance.ledger.interrupt(datetime.now(UTC))
            else:
                click.secho(f"warning: {other} runs on `{state}` too; commands there go on talking to it", err=True)
            app = Gateway(
                instance.pipeline,
                models=instance,
                runs=instance,
                readiness=instance,
                guard=guard,
                door=ChatDoor(),
                max_body_mb=server.max_body_mb,
                max_in_flight=server.concurrency,
            )
            bounds = Bounds(
                headers_s=server.header_timeout_s, body_s=server.body_timeout_s, connections=server.max_connections
            )
            gc.collect()
            gc.freeze()  # facts, rules and code stay for good: the collector need not look at them again
            await serve(app, sockets, bounds=bounds, ready=lambda at: _greet(shared, instance, at, as_json))
    finally:
        for opened in sockets:
            opened.close()


def _greet(shared: Shared, instance: Instance, url: str, as_json: bool) -> None:
    """Say what is here, in a form for people or as one line of JSON."""
    if as_json:
        import orjson

        click.echo(orjson.dumps(summary(shared, instance, url)).decode())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    told = summary(shared, instance, url)
    for doubt in told["doubts"]:
        click.secho(f"warning: {doubt}", fg="yellow", err=True)
    console = Console(highlight=False)
    console.print(f"\n[bold]Shoal[/bold] answers at [bold cyan]{url}/v1[/bold cyan]   (Ctrl-C stops it)\n")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    by_country = "  ".join(f"{country} {count}" for country, count in told["pool"]["by_country"].items())
    table.add_row("pool", f"{told['pool']['endpoints']} endpoints by host country: {by_country}")
    for line in _made_of(told["pool"]):
        table.add_row("", line)
    table.add_row("law", escape(told["law"]["text"]))
    if told["keys_found"]:
        found = ", ".join(f"{row['variable']} (shoal add {row['provider']})" for row in told["keys_found"])
        table.add_row("keys", f"found, not used: {escape(found)}")
    else:
        table.add_row("keys", "none found in the environment; none is needed for the practice pool")
    table.add_row("state", escape(str(instance.state)))
    console.print(table)
    console.print("\ntry, in another terminal:", style="dim")
    for line in told["try"]:
        console.print(f"  {escape(line)}", soft_wrap=True)
    console.print()


def _made_of(pool: dict[str, Any]) -> list[str]:
    lines = []
    if pool["practice"]:
        lines.append(f"{pool['practice']} practice models: real, tiny, they only answer number questions")
    if pool["local"]:
        lines.append(f"{pool['local']} on local servers: {', '.join(pool['local_names'])}")
    if pool["remote"]:
        lines.append(f"{pool['remote']} at providers added in shoal.toml")
    return lines


def summary(shared: Shared, instance: Instance, url: str) -> dict[str, Any]:
    """Return what the greeting says, in plain values."""
    from shoal.settings import doubts

    endpoints = instance.snapshot.endpoints
    countries = Counter(e.host_country or "unknown" for e in endpoints)
    policy = instance.loaded.settings.policy
    rules = f"{len(policy.allow)} allow and {len(policy.deny)} deny rules; " if policy.allow or policy.deny else ""
    outcome = "permitted" if policy.default == "permit" else "forbidden"
    command_line = _command(shared)
    return {
        "url": url,
        "pool": {
            "endpoints": len(endpoints),
            "by_country": dict(sorted(countries.items())),
            "practice": sum(e.practice for e in endpoints),
            "local": sum(e.local for e in endpoints),
            "local_names": [e.id for e in endpoints if e.local][:6],
            "remote": sum(not e.local and not e.practice for e in endpoints),
        },
        "law": {
            "default": policy.default,
            "text": f"{rules}where no rule speaks, sending is {outcome} ([policy] default in shoal.toml); "
            "unknown facts plus personal data always forbid",
        },
        "doubts": list(doubts(instance.loaded.settings, instance.facts)),
        "keys_found": unused_keys(instance),
        "try": [
            f'{command_line} ask "三百二十五足す十七は？" --explain',
            f'{command_line} ask "what is forty-two times seven?" --without country:US --explain',
            f"curl -s {url}/v1/chat/completions -H 'content-type: application/json' "
            '-d \'{"model": "shoal", "messages": [{"role": "user", "content": "삼백이십오 더하기 십칠은?"}]}\'',
        ],
    }


def _command(shared: Shared) -> str:
    """Return how this very command is called, with its options, so that what is shown can be pasted."""
    import shlex
    import shutil
    import sys

    words = ["shoal"]
    if not shutil.which("shoal"):
        here = Path(sys.argv[0])
        try:
            words = [str(here.resolve().relative_to(Path.cwd()))]
        except ValueError:
            words = [str(here)]
    for option, path in (("--config", shared.config), ("--state", shared.state)):
        if path is not None:
            words += [option, str(path)]
    return shlex.join(words)


def unused_keys(instance: Instance) -> list[dict[str, str]]:
    """Return the providers whose key is in the environment although nobody added them."""
    from shoal.settings import secret

    added = {e.provider for e in instance.snapshot.endpoints}
    found = []
    for provider in instance.facts.providers.values():
        for variable in provider.env:
            if provider.id not in added and secret(variable):
                found.append({"provider": provider.id, "variable": variable})
                break
    return found
