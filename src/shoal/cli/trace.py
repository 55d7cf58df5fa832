"""`shoal trace`: one run's story, read from its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from shoal.cli.main import Shared


@click.command("trace", short_help="Show one run's story as a tree.")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the run's view as JSON.")
@click.pass_obj
def command(shared: Shared, run: str | None, as_json: bool) -> None:
    """Show the story of RUN (its id, or enough of the end of it; the last run if none is named).

    Who was refused and by which rule, what the plan was, where each step could have gone and why it went where it
    went, every attempt, and what each cost.

    \b
    shoal trace
    shoal trace 4ea2317h4
    """
    from shoal.cli.show import console, print_json, story

    view, texts = asyncio.run(_read(shared, run))
    if as_json:
        print_json(view)
        return
    console().print(story(view, texts))


async def _read(shared: Shared, run: str | None) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the view and, where the journal lies on this machine, the texts of the steps by hash."""
    from shoal.cli.instance import backend, reading, state_dir

    if shared.url is not None:
        async with backend(shared) as shoal:
            return await _find(shoal, run), {}
    async with reading(state_dir(shared)) as ledger:
        view = await _find(ledger, run)
        texts = {}
        for step in view["steps"]:
            if step.get("output"):
                texts[step["output"]] = str(await ledger.text(view["run"], step["output"]) or "")
        return view, texts


async def _find(source: Any, run: str | None) -> Mapping[str, Any]:
    from shoal.core.errors import CallerError

    if run is not None:
        found = await source.run(run)
        if found is not None:
            return {k: v for k, v in found.items() if k != "owner"}
    lines = await source.runs(200)
    matching = [line["run"] for line in lines if run is None or line["run"].endswith(run)]
    if not matching:
        raise CallerError(
            f"there is no run `{run}`; `shoal runs` lists the last ones" if run else "there are no runs yet"
        )
    if run is not None and len(matching) > 1:
        raise CallerError(f"`{run}` fits {len(matching)} runs; write more of it")
    found = await source.run(matching[0])
    if found is None:
        raise CallerError(f"run `{matching[0]}` belongs to another key; set SHOAL_API_KEY to the one that asked")
    return {k: v for k, v in found.items() if k != "owner"}
