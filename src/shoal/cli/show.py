"""Printing: JSON for programs, tables and trees for people. Knows shapes of views, decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
import orjson

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

FEW = 6


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode())


def console() -> Console:
    """Return a console that follows NO_COLOR and the terminal's width."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def story(view: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> Tree:
    """Return a run's story as a tree: label, who was refused, the plan, each step with route, attempts and cost."""
    from rich.markup import escape
    from rich.tree import Tree

    root = Tree(_headline(view))
    label = {k: v for k, v in (view.get("label") or {}).items() if v}
    if label:
        root.add("[dim]label[/dim] " + escape(", ".join(f"{k}: {v}" for k, v in label.items())))
    _law(root, view["candidates"])
    told: dict[str, str] = {}
    for step in view["steps"]:
        _step(root, step, texts or {}, told)
    end = view.get("end") or {}
    if end.get("error"):
        root.add(f"[red]{escape(str(end.get('code')))}[/red] {escape(str(end['error']))}")
    return root


def _headline(view: Mapping[str, Any]) -> str:
    colour = {"finished": "green", "failed": "red", "cancelled": "yellow"}.get(view["status"], "cyan")
    parts = [f"[bold]{view['run']}[/bold]", f"[{colour}]{view['status']}[/{colour}]", str(view.get("model"))]
    if view.get("mode"):
        parts.append(f"as [bold]{view['mode']}[/bold]")
    parts.append(dollars(view.get("cost_usd")))
    took = seconds_between(view.get("started_at"), view.get("ended_at"))
    if took is not None:
        parts.append(f"{took:.2f} s")
    return "  ".join(parts)


def _law(root: Tree, candidates: Mapping[str, Any]) -> None:
    from rich.markup import escape

    refused = candidates["refused"]
    law = root.add(f"[dim]law[/dim] {len(candidates['permitted'])} permitted, {len(refused)} refused")
    grouped: dict[str, list[str]] = {}
    for row in refused:
        rules = ", ".join(row["rules"])
        missing = f" (unknown: {', '.join(row['missing_facts'])})" if row["missing_facts"] else ""
        grouped.setdefault(rules + missing, []).append(row["endpoint"])
    for rules, endpoints in grouped.items():
        law.add(f"[red]refused[/red] by [bold]{escape(rules)}[/bold]: {escape(few(endpoints))}")


def _step(root: Tree, step: Mapping[str, Any], texts: Mapping[str, str], told: dict[str, str]) -> None:
    from rich.markup import escape

    skill = step.get("plan", {}).get("skill")
    sees = step.get("plan", {}).get("sees") or ()
    title = f"[bold cyan]{step['id']}[/bold cyan] {step['role']}"
    title += f" [dim]{escape(skill)}[/dim]" if skill else ""
    title += f" [dim]sees {', '.join(sees)}[/dim]" if sees else ""
    node = root.add(title)
    for attempt in step["attempts"]:
        if attempt["status"] != "succeeded":
            why = attempt.get("loss") or attempt.get("rules") or ""
            node.add(
                f"[yellow]{attempt['status']}[/yellow] {escape(attempt['endpoint'])} {escape(f'{why}')} "
                f"[dim]{escape(_short(str(attempt.get('error', ''))))}[/dim]"
            )
    said = texts.get(step.get("output") or "")
    if step.get("endpoint"):
        quoted = f"  [green]{escape(_short(said))}[/green]" if said is not None else ""
        review = f"  [bold]{step['review']}[/bold]" if step.get("review") else ""
        node.add(f"[green]->[/green] {escape(step['endpoint'])}  {dollars(step['cost_usd'])}{quoted}{review}")
    if step.get("error"):
        node.add(f"[red]failed[/red] {escape(step['error'])}")
    same = told.setdefault(repr((skill, step["role"], step["route"], step["objections"])), step["id"])
    if same != step["id"]:
        node.add(f"[dim]why, and who was left out: as for {same}[/dim]")
        return
    _reasons(node, step)


def _reasons(node: Tree, step: Mapping[str, Any]) -> None:
    """Add why the step went where it went, and who was left out."""
    from rich.markup import escape

    if step["route"]:
        first = step["route"][0]
        other = "" if first["endpoint"] == step.get("endpoint") else f"{escape(first['endpoint'])} first: "
        why = node.add(f"[dim]why[/dim] {other}{_terms(first)}")
        for row in step["route"][1:3]:
            why.add(f"[dim]then {escape(row['endpoint'])}: {_terms(row)}[/dim]")
    left_out: dict[str, list[str]] = {}
    for row in step["objections"]:
        left_out.setdefault(f"{row['mask']}: {row['reason']}", []).append(row["endpoint"])
    shown = sorted(left_out.items(), key=lambda pair: (pair[0].startswith("capability"), pair[0]))
    for reason, endpoints in shown[:4]:
        node.add(f"[dim]not {escape(few(endpoints, 3))}: {escape(reason)}[/dim]")
    if len(shown) > 4:
        node.add(f"[dim]and {sum(len(e) for _, e in shown[4:])} more that cannot do this step[/dim]")


def _terms(row: Mapping[str, Any]) -> str:
    terms = row.get("terms", {})
    costs = ", ".join(
        f"{name} {dollars(str(terms[key]))}"
        for name, key in (("cost", "cost_usd"), ("waiting", "latency_usd"))
        if key in terms
    )
    return f"belief {row['belief']:.3f}, utility {row['utility']:.5f} USD" + (f" ({costs})" if costs else "")


def few(names: list[str], most: int = FEW) -> str:
    """Return the first names and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def dollars(amount: str | None) -> str:
    """Return an amount for people: unknown stays unknown."""
    if amount is None:
        return "cost unknown"
    value = float(amount)
    return "0 USD" if value == 0 else f"{value:.3g} USD" if abs(value) >= 0.001 else f"{value * 1e6:.3g} µUSD"


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Return the seconds between two moments, where both are known."""
    from datetime import datetime

    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _short(text: str, most: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
