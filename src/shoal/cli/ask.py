"""`shoal ask`: one question, its answer, and with `--explain` the story behind it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from shoal.cli.main import Shared


@click.command("ask", short_help="Ask a question and see who answered, why, and what it cost.")
@click.argument("question", nargs=-1)
@click.option("--model", "-m", default="shoal", show_default=True, help="shoal, shoal-fast, shoal-deep or a model.")
@click.option("--system", "-s", help="A system message.")
@click.option("--only", multiple=True, metavar="SEL", help="Ask only endpoints a selector names, e.g. country:KR.")
@click.option("--without", multiple=True, metavar="SEL", help="Leave endpoints out, e.g. operator-country:US.")
@click.option("--budget", type=float, metavar="USD", help="Spend at most so much.")
@click.option("--deadline", type=float, metavar="SECONDS", help="Take at most so long.")
@click.option("--template", help="Force a plan's shape: direct, solve_verify or chain.")
@click.option("--max-tokens", type=int, help="Longest answer.")
@click.option("--explain", is_flag=True, help="Show who was asked, why, who was refused, cost and time.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole reply as JSON.")
@click.pass_obj
def command(shared: Shared, /, question: tuple[str, ...], as_json: bool, explain: bool, **options: Any) -> None:
    """Ask QUESTION (or standard input where there is none).

    \b
    shoal ask "三百二十五足す十七は？" --explain
    shoal ask "325 + 17 = ?" --without country:US
    cat letter.txt | shoal ask --model shoal-deep --budget 0.02
    """
    from shoal.cli.show import print_json

    text = " ".join(question) or ("" if sys.stdin.isatty() else sys.stdin.read())
    if not text.strip():
        raise click.UsageError('there is no question; write it in quotes: shoal ask "325 + 17 = ?"')
    reply = asyncio.run(_ask(shared, body_of(text, explain=explain, **options)))
    if as_json:
        print_json(reply)
        return
    click.echo(reply["choices"][0]["message"]["content"] or "")
    if explain:
        _explain(reply)


def body_of(text: str, *, explain: bool = False, **options: Any) -> dict[str, Any]:
    """Return the request body for a question with the options of `shoal ask`."""
    messages = [{"role": "system", "content": options["system"]}] if options.get("system") else []
    messages.append({"role": "user", "content": text})
    body: dict[str, Any] = {"model": options.get("model") or "shoal", "messages": messages}
    if options.get("max_tokens") is not None:
        body["max_tokens"] = options["max_tokens"]
    ours = {
        "only": list(options.get("only") or ()),
        "exclude": list(options.get("without") or ()),
        "budget_usd": options.get("budget"),
        "deadline_s": options.get("deadline"),
        "template": options.get("template"),
        "explain": explain or None,
    }
    chosen = {name: value for name, value in ours.items() if value not in (None, [])}
    return {**body, "shoal": chosen} if chosen else body


async def _ask(shared: Shared, body: dict[str, Any]) -> dict[str, Any]:
    from shoal.cli.instance import backend

    async with backend(shared) as shoal:
        return await shoal.complete(body)


def _explain(reply: dict[str, Any]) -> None:
    from shoal.cli.show import console, dollars, story

    usage = reply["usage"]
    inner = usage.get("shoal", {})
    calls = "1 call" if inner.get("calls") == 1 else f"{inner.get('calls')} calls"
    out = console()
    out.print()
    out.print(story(explained(reply)))
    out.print(
        f"[dim]{calls}, {usage['prompt_tokens']} tokens in, {usage['completion_tokens']} out, "
        f"{dollars(inner.get('cost_usd'))}; again with: shoal trace {inner.get('run')}[/dim]",
        soft_wrap=True,
    )


def explained(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the story that came with a reply that was asked to explain itself."""
    view: dict[str, Any] = reply["shoal"]["explain"] if "explain" in reply.get("shoal", {}) else reply["shoal"]
    return view
