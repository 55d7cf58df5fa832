"""`shoal runs`: the last runs, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from shoal.cli.main import Shared

SHOWN = 10  # the end of a run's id, which `shoal trace` finds it by


@click.command("runs", short_help="List the last runs.")
@click.option("--limit", "-n", type=click.IntRange(1, 200), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help='Print {"runs": [...]}.')
@click.pass_obj
def command(shared: Shared, limit: int, as_json: bool) -> None:
    """List the last runs: when, what was asked for, how it ended, who served it, what it cost.

    \b
    shoal runs
    shoal runs -n 5 --json
    """
    from shoal.cli.show import console, dollars, print_json, seconds_between

    lines = asyncio.run(_read(shared, limit))
    if as_json:
        print_json({"runs": lines})
        return
    if not lines:
        click.echo('no runs yet; try: shoal ask "325 + 17 = ?"')
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("run", "started", "model", "status", "as", "served by", "cost", "took"):
        table.add_column(name, no_wrap=name not in ("model", "served by"), overflow="fold")
    for line in lines:
        took = seconds_between(line["started_at"], line["ended_at"])
        colour = "green" if line["status"] == "finished" else "yellow" if line["status"] == "running" else "red"
        table.add_row(
            line["run"][-SHOWN:],
            line["started_at"][5:16].replace("T", " "),
            line["model"] or "",
            f"[{colour}]{line['status']}[/{colour}]",
            line["mode"] or "",
            line["served_by"] or line["error"] or "",
            dollars(line["cost_usd"]) if line["status"] == "finished" else "",
            f"{took:.2f} s" if took is not None else "",
        )
    out = console()
    out.print(table)
    out.print(f"[dim]times are UTC; one run's story: shoal trace {lines[0]['run'][-SHOWN:]}[/dim]", soft_wrap=True)


async def _read(shared: Shared, limit: int) -> Sequence[Mapping[str, Any]]:
    from shoal.cli.instance import backend, reading, state_dir

    if shared.url is not None:
        async with backend(shared) as shoal:
            return await shoal.runs(limit)
    async with reading(state_dir(shared)) as ledger:
        return await ledger.runs(limit)
