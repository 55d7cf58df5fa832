"""`shoal config`: says whether settings hold, and which ones are in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.main import Shared

if TYPE_CHECKING:
    from shoal.settings import Loaded


@click.group("config", short_help="Check settings, or print the ones in force.")
def command() -> None:
    """Check settings, or print the ones in force.

    \b
    shoal config check
    shoal config show --json
    """


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what the settings say as JSON.")
@click.pass_obj
def check(shared: Shared, file: Path | None, as_json: bool) -> None:
    """Read FILE (default: the settings in force) as a start would, and say what it comes to.

    Errors name file, line and key path: `shoal.toml:7: policy.default: ...`.
    """
    from shoal.cli.show import print_json
    from shoal.settings import load

    told = summary(load(file or shared.config))
    if as_json:
        print_json(told)
        return
    for doubt in told["doubts"]:
        click.secho(f"warning: {doubt}", fg="yellow", err=True)
    click.secho("holds", fg="green", nl=False)
    click.echo(f"  {told['file'] or 'no shoal.toml: every default holds; `shoal init` writes one'}")
    for title, line in _lines(told):
        click.echo(f"  {title:<10}{line}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print every setting with its value as JSON.")
@click.pass_obj
def show(shared: Shared, as_json: bool) -> None:
    """Print every setting in force; what is not written in the file is marked as a default."""
    from rich.markup import escape

    from shoal.cli.show import console, print_json
    from shoal.settings import load

    loaded = load(shared.config)
    rows = list(in_force(loaded))
    if as_json:
        print_json({"file": loaded.file, "settings": rows})
        return
    out = console()
    out.print(f"[dim]# {escape(str(loaded.file or 'no shoal.toml'))}[/dim]", soft_wrap=True)
    width = max(len(row["key"]) for row in rows)
    for row in rows:
        mark = "  [dim]default[/dim]" if row["default"] else ""
        out.print(f"{escape(row['key']):<{width}}  {escape(_shown(row['value']))}{mark}", soft_wrap=True)


def summary(loaded: Loaded) -> dict[str, Any]:
    """Return what settings come to, after building the pool and compiling the policy as a start does.

    Raises:
        SetupError: something in them is wrong; the message names file, line and key path.
    """
    from collections import Counter

    from shoal.assembly import policy_of, snapshot_of
    from shoal.catalogue.loader import load_facts
    from shoal.core.label import NOTHING
    from shoal.core.selector import Narrowing
    from shoal.settings import doubts

    facts = loaded.facts(load_facts())
    snapshot = snapshot_of(loaded, facts, (), ())
    policy = policy_of(loaded)
    verdicts = policy.judge_all(snapshot.endpoints, NOTHING, Narrowing())
    settings = loaded.settings
    return {
        "file": loaded.file,
        "doubts": list(doubts(loaded.settings, facts)),
        "instance": {"country": settings.instance.country, "name": settings.instance.name},
        "pool": {
            "endpoints": len(snapshot.endpoints),
            "by_provider": dict(Counter(endpoint.provider for endpoint in snapshot.endpoints)),
            "keys": sorted({e.key_env for e in snapshot.endpoints if e.key_env}),
            "practice": settings.practice.enabled,
            "discovery": settings.discovery.enabled,
            "version": snapshot.version,
        },
        "law": {
            "allow": list(settings.policy.allow),
            "deny": list(settings.policy.deny),
            "default": settings.policy.default,
            "permitted": sum(verdict.is_permit for verdict in verdicts),
            "version": policy.version,
        },
        "budget": {"run_usd": settings.budget.run_usd, "deadline_s": settings.budget.deadline_s},
        "profiles": [f"shoal/{profile.name}" for profile in settings.profile],
        "models": [model.id for model in settings.model],
        "server": {"host": settings.server.host, "port": settings.server.port, "keys": len(settings.server.keys)},
    }


def _lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    pool, law, budget = told["pool"], told["law"], told["budget"]
    yield "instance", f"{told['instance']['name']}, country {told['instance']['country'] or '? (unknown)'}"
    entries = ", ".join(f"{provider} ({count})" for provider, count in pool["by_provider"].items())
    yield "pool", f"{pool['endpoints']} endpoints of providers{': ' + entries if entries else ''}"
    yield (
        "",
        f"practice pool: {_shown(pool['practice'])}; local servers are {'' if pool['discovery'] else 'not '}sought",
    )
    if pool["keys"]:
        yield "keys", ", ".join(pool["keys"])
    for name in ("allow", "deny"):
        if law[name]:
            yield "law", f"{name} {', '.join(law[name])}"
    yield "law", f"where no rule speaks: {law['default']}; {law['permitted']} of {pool['endpoints']} permitted"
    money = "no bound" if budget["run_usd"] is None else f"{budget['run_usd']:f} USD"
    yield "budget", f"{money} and {budget['deadline_s']:g} s a run"
    if told["profiles"]:
        yield "profiles", ", ".join(told["profiles"])
    if told["models"]:
        yield "models", ", ".join(told["models"])
    server = told["server"]
    yield (
        "server",
        f"{server['host']}:{server['port']}, "
        + (f"{server['keys']} client keys" if server["keys"] else "no client key"),
    )


def in_force(loaded: Loaded) -> Iterator[dict[str, Any]]:
    """Return every setting in force in the order of the reference: key path, value, whether it is a default."""
    import msgspec

    from shoal.settings import Settings

    plain: dict[str, Any] = msgspec.to_builtins(loaded.settings)
    defaults: dict[str, Any] = msgspec.to_builtins(Settings())
    for section, value in plain.items():
        if isinstance(value, dict):
            for key, found in value.items():
                path = f"{section}.{key}"
                written = path in loaded.lines or any(name.startswith(f"{path}.") for name in loaded.lines)
                yield {"key": path, "value": found, "default": found == defaults[section][key] and not written}
            continue
        for index, row in enumerate(value):
            for key, found in row.items():
                if f"{section}[{index}].{key}" in loaded.lines or found not in (None, (), [], {}):
                    written = f"{section}[{index}].{key}" in loaded.lines
                    yield {"key": f"{section}[{index}].{key}", "value": found, "default": not written}


def _shown(value: Any) -> str:
    import orjson

    return "unset" if value is None else value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
