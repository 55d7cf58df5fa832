"""The `shoal` command: which commands there are, what all of them share, and how errors are printed.

A command's file is imported only when it runs, so that `shoal --help` stays quick.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from shoal import __version__

# name -> (module, one line of help); the function in the module is called `command`
COMMANDS: dict[str, tuple[str, str]] = {
    "ask": ("shoal.cli.ask", "Ask a question and see who answered, why, and what it cost."),
    "models": ("shoal.cli.models", "List the models in the pool, or the whole catalogue with --all."),
    "doctor": ("shoal.cli.doctor", "Check every endpoint: reachable, key, dialect, facts missing, and the way out."),
    "add": ("shoal.cli.add", "Add a provider of the catalogue to shoal.toml (never its key)."),
    "init": ("shoal.cli.init", "Write a first shoal.toml."),
    "serve": ("shoal.cli.serve", "Serve the gateway on a port until stopped."),
    "config": ("shoal.cli.config", "Check settings, or print the ones in force."),
    "trace": ("shoal.cli.trace", "Show one run's story as a tree."),
    "runs": ("shoal.cli.runs", "List the last runs."),
    "tour": ("shoal.cli.tour", "A minute's tour: ask, explain, forbid a country, take one away, ask again."),
    "practice": ("shoal.cli.practice", "The practice pool: questions, faults, report card."),
}


@dataclass(slots=True)
class Shared:
    """Options every command shares."""

    config: Path | None
    state: Path | None
    url: str | None


class Commands(click.Group):
    """A group that imports a command when it is called for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they are taught."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, importing its file."""
        if cmd_name not in COMMANDS:
            return None
        module: Any = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, but suggest a near name for an unknown one."""
        name = args[0]
        if name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean `shoal {near[0]}`?" if near else "; `shoal --help` lists them"
            raise click.UsageError(f"there is no command `{name}`{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with `shoal tour`. Every command takes --json and --help.",
)
@click.version_option(__version__, prog_name="shoal")
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="Settings file (default: ./shoal.toml)."
)
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Directory that holds all state.")
@click.option("--url", help="Address of a running Shoal; default: the one running here, else in this process.")
@click.pass_context
def shoal(ctx: click.Context, config: Path | None, state: Path | None, url: str | None) -> None:
    """Shoal coordinates other people's language models behind one endpoint that you own."""
    ctx.obj = Shared(config, state, url)


def main() -> None:
    """Run the command line; whatever goes wrong becomes one line on stderr and exit code 1."""
    from shoal.core.errors import CallerError, SetupError, ShoalError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not know the letters of an answer
    try:
        code = shoal.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        if "--json" in sys.argv:
            report(CallerError(error.format_message()))
        else:
            error.show()
        sys.exit(error.exit_code)
    except ShoalError as error:
        report(error)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:  # a fault of ours: a line for everybody, the traceback for who asks
        from shoal.settings import debugging

        if debugging():
            raise
        if isinstance(error, OSError) and error.strerror:  # the machine's, not ours
            where = f"`{error.filename}`: " if error.filename else ""
            report(SetupError(f"{where}{error.strerror}; look at the disk and the rights to it"))
            sys.exit(1)
        report(Unexpected(error))
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


class Unexpected:
    """A foreign exception in the shape that `report` prints."""

    code = "internal_error"
    detail: Mapping[str, Any] = {}

    def __init__(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        said = " ".join(str(error).split())[:300]
        self.message = (
            f"{type(error).__name__}{f': {said}' if said else ''}; this is a fault in shoal {__version__}, please "
            "report it with what SHOAL_DEBUG=1 prints"
        )


def report(error: Any) -> None:
    """Print an error as every command does: what went wrong and, where there is a list, the first grounds."""
    import orjson

    from shoal.cli.show import few

    if "--json" in sys.argv:
        shown = {"error": {"code": error.code, "message": error.message, "shoal": dict(error.detail)}}
        click.echo(orjson.dumps(shown, default=str).decode())
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.message, err=True)
    for reason, endpoints in list(_grounds(error.detail).items())[:8]:
        click.echo(f"  {few(endpoints, 3)}: {reason}", err=True)


def _grounds(detail: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return each reason once, with the endpoints it took away."""
    grouped: dict[str, list[str]] = {}
    for row in detail.get("candidates", ()):
        grouped.setdefault(row.get("reason") or ", ".join(row["rules"]), []).append(row["endpoint"])
    for row in detail.get("objections", ()):
        grouped.setdefault(f"{row['mask']}: {row['reason']}", []).append(row["endpoint"])
    return grouped
