"""`shoal init`: writes a first shoal.toml. Asks for the country, because the law turns on it."""

from __future__ import annotations

import sys

import click

from shoal.cli.main import Shared


@click.command("init", short_help="Write a first shoal.toml.")
@click.option("--country", metavar="KR", help="Country this machine stands in; local servers are hosted there.")
@click.option(
    "--default",
    type=click.Choice(["permit", "deny"]),
    default="permit",
    show_default=True,
    help="What holds where no rule speaks.",
)
@click.option("--yes", is_flag=True, help="Ask nothing; the country stays unknown unless it is given.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.pass_obj
def command(shared: Shared, country: str | None, default: str, yes: bool, as_json: bool) -> None:
    """Write a first shoal.toml here (or where --config says), with every line explained.

    \b
    shoal init
    shoal init --country KR --default deny
    """
    from shoal.cli.show import print_json
    from shoal.core.errors import SetupError
    from shoal.settings import new_file, write_starter

    path = new_file(shared.config)
    if path.exists():
        raise SetupError(
            f"{path}: there already; `shoal add PROVIDER` adds to it, and `shoal --config FILE init` writes another"
        )
    if country is None and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("which country does this machine stand in? say --country KR, or --yes to leave it")
        country = click.prompt(
            "two-letter country this machine stands in (empty: unknown)", default="", show_default=False
        )
    country = checked(country)
    write_starter(path, country=country, default=default)
    after = [f"shoal config check {path}", "shoal add deepseek", "shoal serve"]
    if as_json:
        print_json({"file": str(path), "country": country, "default": default, "next": after})
        return
    where = country or "unknown: local servers then have no known host"
    click.echo(f"written: {path}\n  country  {where}\n  law      where no rule speaks: {default}")
    click.echo("next:\n" + "\n".join(f"  {line}" for line in after))


def checked(country: str | None) -> str | None:
    """Return a country's two letters in capitals, or None where nothing was said.

    Raises:
        click.UsageError: it is no country.
    """
    from shoal.catalogue.countries import is_country

    said = (country or "").strip().upper()
    if said and not is_country(said):
        raise click.UsageError(f"`{country}` is no country; write two ISO 3166 letters such as KR")
    return said or None
