"""Writes docs/reference/cli.md from the commands' own help, so that the page cannot say anything else.

tools/cli_reference.py --write
tools/cli_reference.py --check
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shoal.cli.main import COMMANDS, shoal

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
WIDTH = 100
HEAD = """\
# Commands

Written by `tools/cli_reference.py` from the commands' own `--help`; `make docs` writes it anew.

Exit codes: 0 it worked, 1 it did not (the error says why and names the way out), 2 the command was misspelt.
With `--json` an error is one JSON document as well: `{"error": {"code", "message", "shoal"}}`.
"""


def page() -> str:
    """Return the page as it should be."""
    parts = [HEAD, _section("shoal", shoal, None)]
    for name in COMMANDS:
        context = click.Context(shoal, info_name="shoal")
        command = shoal.get_command(context, name)
        assert command is not None
        parts.append(_section(f"shoal {name}", command, context))
    return "\n".join(parts)


def _section(title: str, command: click.Command, parent: click.Context | None) -> str:
    name = title.rpartition(" ")[2]
    context = click.Context(command, info_name=name, parent=parent, max_content_width=WIDTH, terminal_width=WIDTH)
    level = "##" if title.count(" ") < 2 else "###"
    text = f"{level} `{title}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group) and command is not shoal:
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            text += "\n" + _section(f"{title} {child}", found, context)
    return text


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it."""
    if "--check" in arguments:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print(f"{PAGE.name} is {'up to date' if current else 'out of date; run tools/cli_reference.py'}")
        return 0 if current else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
