"""`shoal practice`: questions to ask the practice models, faults to break them with, and their report card.

Knows what to print. The questions, the running pool and the card are the practice room's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from shoal.practice.control import Control

KINDS = ("429", "500", "403", "451", "hang", "slow", "cut", "garbage", "kill")
LEVELS = ("mixed", "one", "two", "three")
SPLITS = ("fit", "card", "test")
SHOWN = 0.5  # the card lists tasks from this share of right answers on

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(short_help="The practice pool: questions, faults, report card.")
def command() -> None:
    """Tiny models that live in this package: real, offline, imperfect, and free to break.

    \b
    shoal practice questions --n 3
    shoal practice fault hana-ja kill
    shoal practice card
    """


@command.command()
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same questions.")
@click.option("--n", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="How many.")
@click.option("--level", type=click.Choice(LEVELS), default="mixed", show_default=True, help="Steps to the answer.")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="Whose numbers.")
@as_json
def questions(seed: int, n: int, level: str, split: str, as_json: bool) -> None:
    """Write questions and their right answers, one JSON object a line."""
    import orjson

    from shoal.practice.questions import generate

    for question in generate(seed, n, level=level, split=split):
        row = {key: getattr(question, key) for key in ("prompt", "answer", "level", "language")}
        click.echo(orjson.dumps(row).decode())


@command.command()
@click.argument("model")
@click.argument("kind", type=click.Choice(KINDS))
@click.option(
    "--times", type=click.IntRange(0), default=1, show_default=True, help="Requests struck; 0: until cleared."
)
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Requests that pass first.")
@click.option("--seconds", type=click.FloatRange(0), help="Retry-After of 429; pause between tokens of slow.")
@as_json
@click.pass_context
def fault(
    ctx: click.Context, model: str, kind: str, times: int, after: int, seconds: float | None, as_json: bool
) -> None:
    """Make MODEL of the running pool misbehave."""
    row = _control(ctx).fault(model, kind, times=times, after=after, seconds=seconds)
    _show([row], as_json)


@command.command()
@click.argument("model", required=False)
@as_json
@click.pass_context
def clear(ctx: click.Context, model: str | None, as_json: bool) -> None:
    """Forget the faults of MODEL, or of all; a killed model stays down until `revive`."""
    _show(_control(ctx).clear(model)["models"], as_json)


@command.command()
@click.argument("model")
@as_json
@click.pass_context
def revive(ctx: click.Context, model: str, as_json: bool) -> None:
    """Open the port of a killed MODEL again."""
    _show([_control(ctx).revive(model)], as_json)


@command.command(name="list")
@as_json
@click.pass_context
def list_models(ctx: click.Context, as_json: bool) -> None:
    """List the running pool: address, whether it is open, requests served, faults to come."""
    _show(_control(ctx).list(), as_json)


@command.command()
@click.argument("model", required=False)
@as_json
def card(model: str | None, as_json: bool) -> None:
    """Show what each model can do, measured on questions no training has seen."""
    from shoal.core.errors import CallerError, SetupError
    from shoal.practice import roster
    from shoal.practice.process import read_card

    found = read_card()
    if not found:
        raise SetupError("there is no report card yet; `make practice` makes one")
    if model is not None:
        name = model.removeprefix("practice/")
        if name not in found:
            raise CallerError(f"no practice model `{model}` on the card; there are {', '.join(found)}")
        found = {name: found[name]}
    if as_json:
        shown = {
            name: {task: {"right": right, "asked": asked} for task, (right, asked) in tasks.items()}
            for name, tasks in found.items()
        }
        return _print({"models": shown})
    rows = []
    for name, tasks in found.items():
        passed = [(task, right / asked) for task, (right, asked) in tasks.items() if asked and right / asked >= SHOWN]
        can = ", ".join(f"{task} {share:.1%}" for task, share in passed) or "nothing above half"
        rows.append((name, roster.member(name).country if name in roster.members() else "", can))
    _table(("model", "country", "right answers"), rows)


def _control(ctx: click.Context) -> Control:
    from shoal.practice.control import Control

    return Control.of(_state(ctx))


def _state(ctx: click.Context) -> Path:
    """Return the directory of state: the flag, then the settings, then the user's data folder."""
    if ctx.obj is not None and ctx.obj.state is not None:
        return Path(ctx.obj.state)
    from shoal import settings

    named = settings.load(ctx.obj.config if ctx.obj is not None else None).settings.instance.state
    return Path(named).expanduser() if named else settings.data_dir()


def _show(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        return _print({"models": list(rows)})
    shown = []
    for row in rows:
        faults = "; ".join(_words(fault) for fault in row["faults"])
        state = "open" if row["open"] else "closed"
        shown.append((row["model"], f"http://127.0.0.1:{row['port']}/v1", state, str(row["requests"]), faults))
    _table(("model", "address", "port", "requests", "faults to come"), shown)


def _words(fault: Mapping[str, Any]) -> str:
    times = {0: "until cleared", 1: "once"}.get(fault["times"], f"{fault['times']} times")
    requests = "one request" if fault["after"] == 1 else f"{fault['after']} requests"
    return f"{fault['kind']} {times}" + (f" after {requests}" if fault["after"] else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _print(shown: Mapping[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(shown).decode())
