"""Whether settings that have the right shape make sense: countries, selectors, addresses, names, amounts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import ip_address

from shoal.catalogue.checks import PROVIDER_ID, WIRE, Finding, is_reserved, url_fault
from shoal.catalogue.countries import is_country
from shoal.catalogue.snapshot import PRACTICE
from shoal.core.errors import CallerError
from shoal.core.selector import parse
from shoal.settings.credentials import name_fault
from shoal.settings.sections import ProfileSection, ProviderSection, Settings

PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HEADER_AUTH = re.compile(r"bearer|none|header:[A-Za-z0-9-]+")


def faults(settings: Settings) -> Iterator[Finding]:
    """Say what is wrong with settings that have the right shape, first things first."""
    yield from _countries(settings.instance.country, "instance.country")
    yield from _countries(settings.tenant.home, "tenant.home")
    yield from _countries(settings.tenant.ultimate_parent, "tenant.ultimate_parent")
    yield from _server_faults(settings)
    yield from _selector_faults(settings.policy.allow, "policy.allow")
    yield from _selector_faults(settings.policy.deny, "policy.deny")
    yield from _amounts(settings.budget.run_usd, "budget.run_usd")
    yield from _amounts(settings.coordinator.value_per_success_usd, "coordinator.value_per_success_usd")
    yield from _amounts(settings.coordinator.latency_usd_per_s, "coordinator.latency_usd_per_s")
    for name, port in settings.discovery.ports.items():
        if not 1 <= port <= 65535:
            yield f"discovery.ports.{name}", f"a port is 1 to 65535, found {port}"
    for index, row in enumerate(settings.provider):
        for path, reason in _provider_faults(row):
            yield f"provider[{index}].{path}", reason
    seen: set[str] = set()
    for index, profile in enumerate(settings.profile):
        for path, reason in _profile_faults(profile, seen):
            yield f"profile[{index}].{path}", reason
        seen.add(profile.name)


def _server_faults(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    for index, name in enumerate(server.keys):
        if fault := name_fault(name):
            yield f"server.keys[{index}]", fault
    if not is_loopback_host(server.host) and not server.keys:
        yield (
            "server.host",
            f"`{server.host}` can be reached from outside, so clients need a key: put one into an environment "
            'variable and name it in `keys = ["SHOAL_KEY"]`, or listen on 127.0.0.1',
        )


def is_loopback_host(host: str) -> bool:
    """Return whether an address to listen on reaches this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _provider_faults(row: ProviderSection) -> Iterator[Finding]:
    if not PROVIDER_ID.fullmatch(row.id) or is_reserved(row.id) or row.id == PRACTICE:
        kinds = f"small letters, digits, `.`, `_`, `-`, not `shoal` or `{PRACTICE}`"
        yield "id", f"`{row.id}` is no provider name ({kinds})"
    if row.key_env is not None and row.key_file is not None:
        yield "key_file", "a key comes from one place: keep `key_env` or `key_file`"
    if row.key_env is not None and (fault := name_fault(row.key_env)):
        yield "key_env", fault
    if row.base_url is not None and (fault := url_fault(row.base_url, plain_http=row.plain_http)):
        yield "base_url", f"{fault} (or say `plain_http = true`)" if "plain http" in fault else fault
    if not WIRE.fullmatch(row.dialect):
        yield "dialect", f"`{row.dialect}` is no dialect; write openai-chat"
    if not _HEADER_AUTH.fullmatch(row.auth):
        yield "auth", "write `bearer`, `none` or `header:NAME`"
    for name in ("host_country", "operator_country", "operator_parent", "storage_country"):
        yield from _countries(getattr(row, name), name)
    for name, price in row.prices.items():
        for part in ("input", "output", "cached_input"):
            yield from _amounts(getattr(price, part), f"prices.{name}.{part}")


def _profile_faults(row: ProfileSection, seen: set[str]) -> Iterator[Finding]:
    if not PROFILE_NAME.fullmatch(row.name):
        yield "name", f"`{row.name}` is no profile name (small letters, digits, `.`, `_`, `-`)"
    if row.name == "practice":
        yield "name", "`shoal/practice` ships with Shoal; take another name"
    if row.name in seen:
        yield "name", f"`{row.name}` stands here twice"
    yield from _selector_faults(row.only, "only")
    yield from _selector_faults(row.exclude, "exclude")
    yield from _amounts(row.budget_usd, "budget_usd")


def _selector_faults(texts: tuple[str, ...], path: str) -> Iterator[Finding]:
    for index, text in enumerate(texts):
        try:
            parse(text)
        except CallerError as error:
            yield f"{path}[{index}]", error.message


def _countries(value: str | None, path: str) -> Iterator[Finding]:
    if value is not None and not is_country(value):
        yield path, f"`{value}` is no country; write two ISO 3166 letters such as KR"


def _amounts(value: Decimal | None, path: str) -> Iterator[Finding]:
    if value is not None and not (value.is_finite() and value >= 0):
        yield path, f"an amount is zero or more, found {value}"
