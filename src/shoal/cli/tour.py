"""`shoal tour`: a minute on the practice pool: ask, explain, forbid a country, take one away, ask again, forbid all.

Opens an instance of its own with a state that is thrown away, so nothing of the user's is read, asked or written.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.main import Shared

if TYPE_CHECKING:
    from shoal.cli.instance import Here
    from shoal.practice.control import Control

QUESTION = "三百二十五足す十七は？"
MEANS = "what is 325 plus 17?"
FORBIDDEN = "JP"
NOWHERE = "AQ"  # Antarctica: no endpoint of the practice pool is there
PAUSE_S = 6.0
NEXT = (
    'shoal ask "삼백이십오 더하기 십칠은?" --explain',
    "shoal add deepseek",
    "shoal serve",
)


@click.command("tour", short_help="A minute's tour: ask, explain, forbid a country, take one away, ask again.")
@click.option("--fast", is_flag=True, help="Do not pause between the steps.")
@click.option("--json", "as_json", is_flag=True, help='Print {"steps": [...]} at the end.')
@click.pass_obj
def command(shared: Shared, fast: bool, as_json: bool) -> None:
    """See in a minute what Shoal does, on the practice models that come with it: offline, free, and real.

    \b
    shoal tour
    shoal tour --fast
    """
    from shoal.cli.show import print_json
    from shoal.core.errors import PoolError, ShoalError

    pausing = not fast and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    try:
        steps = asyncio.run(_walk(Guide(quiet=as_json, pausing=pausing)))
    except ShoalError:
        raise
    except Exception as error:  # the first thing a newcomer runs ends with a sentence, whatever happens
        kind = type(error).__name__
        raise PoolError(f"the tour broke off ({kind}: {error}); `shoal doctor` looks for the cause") from error
    if as_json:
        print_json({"steps": [dict(step) for step in steps], "next": list(NEXT)})


@dataclass(slots=True)
class Guide:
    """Tells each step as it happens, or keeps quiet and only remembers."""

    quiet: bool = False
    pausing: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)

    async def title(self, title: str, why: str, same_as: str) -> None:
        """Open a step: what happens, why, and the command that does the same."""
        from rich.markup import escape
        from rich.padding import Padding

        from shoal.cli.show import console

        if self.steps and self.pausing:
            await _wait()
        self.steps.append({"step": len(self.steps) + 1, "title": title, "command": same_as})
        if not self.quiet:
            out = console()
            out.print(f"\n[bold cyan]{len(self.steps)}. {escape(title)}[/bold cyan]")
            out.print(Padding(escape(why), (0, 0, 0, 3)))
            out.print(f"   [dim]$ {escape(same_as)}[/dim]", soft_wrap=True)

    def say(self, text: str, **facts: Any) -> None:
        """Tell a line and remember the facts behind it."""
        from rich.markup import escape
        from rich.table import Table

        from shoal.cli.show import console

        self.steps[-1] |= facts
        if not self.quiet:
            line = Table.grid(padding=(0, 1))
            line.add_row("   [green]->[/green]", escape(text))
            console().print(line)

    def show(self, what: Any, **facts: Any) -> None:
        """Show a tree and remember the facts behind it."""
        from rich.padding import Padding

        from shoal.cli.show import console

        self.steps[-1] |= facts
        if not self.quiet:
            console().print(Padding(what, (0, 0, 0, 3)))


async def _walk(guide: Guide) -> list[dict[str, Any]]:
    async with _private() as (shoal, control):
        if not guide.quiet:
            click.echo(f"{len(shoal.instance.snapshot.endpoints)} tiny models, each behind its own port, are up.")
        await guide.title(
            "Ask", f"In Japanese: {MEANS} No single model does it all; shoal-deep makes a plan.", _ask("-m shoal-deep")
        )
        first = await _told(guide, shoal)
        await guide.title(
            "Explain", "Who was asked, why, who was refused, what it cost and how long it took.", "shoal trace"
        )
        _explain(guide, first)
        await guide.title(
            f"Forbid a country: {FORBIDDEN}",
            "Nothing hosted, run or trained there may see the text. Who reads Japanese now?",
            _ask(f"-m shoal-deep --without country:{FORBIDDEN}"),
        )
        await _told(guide, shoal, exclude=[f"country:{FORBIDDEN}"])
        await _take_away(guide, shoal, control, first)
        await guide.title(
            "Forbid everyone",
            "Only Antarctica will do. Law comes before everything: nothing is sent, and every refusal names its rule.",
            _ask(f"--only host:{NOWHERE}"),
        )
        await _told(guide, shoal, only=[f"host:{NOWHERE}"])
    if not guide.quiet:
        click.echo(
            "\nThat was the tour; nothing of it is left on disk. Its `trace` and `practice` lines work beside a "
            "running\n`shoal serve`. Go on with:"
        )
        for line in NEXT:
            click.echo(f"  {line}")
    return guide.steps


async def _take_away(guide: Guide, shoal: Here, control: Control, first: Mapping[str, Any] | None) -> None:
    """Close the port of the endpoint that did the first step of the first question, and ask again."""
    steps = asked(first) if first else []
    victim = steps[0][1] if steps else shoal.instance.snapshot.endpoints[0].id
    name = victim.partition("/")[2]
    await guide.title(
        f"Take one away: {victim}",
        "Its port closes without a word, as a provider's may. The same question again:",
        f"shoal practice fault {name} kill && " + _ask("-m shoal-deep"),
    )
    await asyncio.to_thread(control.fault, name, "kill")
    guide.steps[-1]["killed"] = victim
    await _told(guide, shoal)


@asynccontextmanager
async def _private() -> AsyncIterator[tuple[Here, Control]]:
    """Open an instance over the practice pool alone, with every default and a state that is thrown away."""
    from tempfile import TemporaryDirectory

    from shoal.assembly import open_instance
    from shoal.cli.instance import Here
    from shoal.practice.process import PracticePool, endpoints
    from shoal.settings import Loaded, Settings

    with TemporaryDirectory(prefix="shoal-tour-") as folder:
        state = Path(folder)
        async with (
            PracticePool.start(state) as pool,
            open_instance(Loaded(Settings()), state=state, extra=endpoints(pool)) as instance,
        ):
            yield Here(instance), pool.control


async def _told(guide: Guide, shoal: Here, **narrowing: list[str]) -> Mapping[str, Any] | None:
    """Ask the question, tell who did what, and return the story; a refusal is told as one."""
    from shoal.cli.ask import body_of, explained
    from shoal.cli.show import dollars, seconds_between
    from shoal.core.errors import ShoalError

    body = body_of(
        QUESTION,
        model="shoal-deep",
        explain=True,
        only=narrowing.get("only"),
        without=narrowing.get("exclude"),
    )
    try:
        reply = await shoal.complete(body)
    except ShoalError as error:
        _refusal(guide, error)
        return None
    view = explained(reply)
    answer = reply["choices"][0]["message"]["content"]
    by = asked(view)
    guide.say(answer, answer=answer, cost_usd=view["cost_usd"])
    for part, endpoint, lost in dict.fromkeys(by):
        guide.say(f"{part}: {endpoint}" + (f" (after {', '.join(lost)} was lost)" if lost else ""))
    took = seconds_between(view["started_at"], view["ended_at"])
    guide.say(
        f"{dollars(view['cost_usd'])}, {took or 0:.2f} s",
        asked=[{"part": part, "endpoint": endpoint, "lost": lost} for part, endpoint, lost in by],
    )
    return view


def asked(view: Mapping[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (part, endpoint, endpoints lost on the way) for every step that was answered."""
    found = []
    for step in view["steps"]:
        if step.get("endpoint"):
            lost = [a["endpoint"] for a in step["attempts"] if a["status"] != "succeeded"]
            part = step.get("plan", {}).get("skill") or step["role"]
            found.append((part, step["endpoint"], tuple(dict.fromkeys(lost))))
    return found


def _explain(guide: Guide, view: Mapping[str, Any] | None) -> None:
    from shoal.cli.show import story

    if view is None:
        guide.say("there is no story, because the question was refused")
    else:
        guide.show(story(view), story=view)


def _refusal(guide: Guide, error: Any) -> None:
    """Tell a refusal with its rules: each rule once, with whom it refused."""
    from shoal.cli.show import few

    guide.say(error.message, error=error.code, message=error.message)
    grouped: dict[str, list[str]] = {}
    for row in error.detail.get("candidates", ()):
        grouped.setdefault(", ".join(row["rules"]), []).append(row["endpoint"])
    for rules, endpoints in grouped.items():
        guide.say(f"{rules}: {few(endpoints, 4)}", rules=sorted(grouped))


def _ask(options: str) -> str:
    return f'shoal ask "{QUESTION}" {options}'


async def _wait() -> None:
    """Pause until Enter is pressed or the time is over; an interrupt ends it at once."""
    click.echo(click.style("   (Enter goes on)", dim=True))
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), pressed.set)
    try:
        async with asyncio.timeout(PAUSE_S):
            await pressed.wait()
        sys.stdin.readline()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(sys.stdin.fileno())
