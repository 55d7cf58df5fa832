"""Checks: do rows that have the right shape also make sense, alone and together?

Every check answers with findings (key path, reason); the loader adds the file's name. The same checks hold for the
facts in the package and for rows an operator writes in shoal.toml.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from ipaddress import ip_address
from urllib.parse import urlsplit

from shoal.catalogue.countries import is_country, is_territory
from shoal.catalogue.rows import ModelRow, Place, PriceRow, ProviderRow

Finding = tuple[str, str]
"""A key path inside a row, and what is wrong there."""

PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
MODEL_ID = re.compile(r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._:-]*")
LANGUAGE = re.compile(r"[a-z]{2,3}")
CURRENCY = re.compile(r"[A-Z]{3}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
WIRE = re.compile(r"openai-chat|openai-responses|anthropic-messages|gemini-generate|own:[a-z0-9-]+")
TEMPLATE = re.compile(r"\{([a-z_]+)\}")
RESERVED = "`shoal` and what starts with `shoal-` is reserved"


def is_reserved(name: str) -> bool:
    """Return whether a name would shadow one of Shoal's own."""
    head = name.partition("/")[0]
    return head == "shoal" or head.startswith("shoal-")


def is_loopback(url: str) -> bool:
    """Return whether a URL points to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def url_fault(url: str, *, plain_http: bool = False) -> str | None:
    """Return why a base URL is no good, or None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"`{url}` is no URL ({error})"
    if parts.scheme not in ("https", "http") or not host:
        return f"`{url}` is no base URL; write `https://HOST/PATH`"
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):
        return f"{url!r} has a space or control character"
    if parts.username or parts.password:
        return "a base URL carries no user name or password; keep credentials in the environment"
    if parts.query or parts.fragment:
        return f"`{url}` has a query or fragment; a base URL ends with its path"
    if parts.scheme == "http" and not (plain_http or is_loopback(url)):
        return f"`{url}` is plain http, which is for this machine only; write `https://`"
    return None


def place_faults(place: Place) -> Iterator[Finding]:
    """Say what is wrong with an address."""
    if not PROVIDER_ID.fullmatch(place.id):
        yield "id", f"`{place.id}` is no place name (small letters, digits, `.`, `_`, `-`)"
    if fault := url_fault(place.base_url):
        yield "base_url", fault
    if place.country is not None and not is_territory(place.country):
        yield "country", f"`{place.country}` is no country; write ISO 3166 letters such as KR, or EU or EEA"
    if (place.country is None) != (place.country_basis is None):
        yield "country_basis", "a country and its basis (`stated` or `implied`) stand together or not at all"
    if place.price_factor is not None and place.price_factor <= 0:
        yield "price_factor", f"a factor is above zero, found {place.price_factor}"
    yield from _wires(place.wire, "wire")
    yield from _variables(place.env, "env")


def provider_faults(row: ProviderRow, quirks: Collection[str]) -> Iterator[Finding]:
    """Say what is wrong with a provider."""
    if not PROVIDER_ID.fullmatch(row.id):
        yield "id", f"`{row.id}` is no provider name (small letters, digits, `.`, `_`, `-`)"
    if is_reserved(row.id):
        yield "id", f"`{row.id}`: {RESERVED}"
    yield from _countries(row.home_country, "home_country")
    yield from _countries(row.storage_country, "storage_country")
    yield from _territories(row.not_available_in, "not_available_in")
    yield from _territories(row.residency_choice, "residency_choice")
    yield from _sources(row.source)
    yield from _wires(row.wire, "wire")
    for index, also in enumerate(row.also_wires):
        yield from _wires(also.wire, f"also_wires[{index}].wire")
    yield from _variables((*row.env, *row.alt_env), "env")
    if row.auth and (row.auth.scheme == "header") != (row.auth.header is not None):
        yield "auth.header", "the header's name is given for the scheme `header` and for no other"
    for index, quirk in enumerate(row.quirks):
        if quirk not in quirks:
            yield f"quirks[{index}]", f"there is no quirk `{quirk}`"
    if row.retention_days is not None and row.retention_days < 0:
        yield "retention_days", f"days are not negative, found {row.retention_days}"
    if row.place and row.wire is None:
        yield "wire", "a provider with an address says which dialect it speaks"
    seen: set[str] = set()
    for index, place in enumerate(row.place):
        if place.id in seen:
            yield f"place[{index}].id", f"`{place.id}` stands here twice"
        seen.add(place.id)
        for path, reason in place_faults(place):
            yield f"place[{index}].{path}", reason


def model_faults(
    row: ModelRow, providers: Mapping[str, ProviderRow], models: Collection[str], currencies: Collection[str]
) -> Iterator[Finding]:
    """Say what is wrong with a model."""
    if not MODEL_ID.fullmatch(row.id):
        yield "id", f"`{row.id}` is no model name; write `DEVELOPER/MODEL` in small letters"
    if is_reserved(row.id):
        yield "id", f"`{row.id}`: {RESERVED}"
    for name in ("home_country", "developer_parent", "base_country", "hosted_in"):
        yield from _countries(getattr(row, name), name)
    yield from _territories(row.not_available_in, "not_available_in")
    yield from _territories(row.licence_excluded_territories, "licence_excluded_territories")
    yield from _sources(row.source)
    yield from _wires(row.wire, "wire")
    for index, via in enumerate(row.via):
        if via.provider not in providers:
            yield f"via[{index}].provider", f"there is no provider `{via.provider}`"
        if not via.model:
            yield f"via[{index}].model", "the name at the provider is empty"
    if row.base_model is not None and row.base_model not in models and row.base_country is None:
        yield "base_model", f"`{row.base_model}` is not in the catalogue; then `base_country` says where it comes from"
    for name in ("context", "max_input", "max_output", "params_total_b", "params_active_b"):
        value = getattr(row, name)
        if value is not None and value <= 0:
            yield name, f"a size is above zero, found {value}"
    for index, language in enumerate(row.languages):
        if not LANGUAGE.fullmatch(language):
            yield f"languages[{index}]", f"`{language}` is no ISO 639 code such as ja"
    for index, price in enumerate(row.price):
        for path, reason in price_faults(price, currencies):
            yield f"price[{index}].{path}", reason


def price_faults(price: PriceRow, currencies: Collection[str]) -> Iterator[Finding]:
    """Say what is wrong with a price."""
    if not CURRENCY.fullmatch(price.currency) or price.currency not in currencies:
        yield "currency", f"`{price.currency}` has no rate in exchange.toml"
    if not price.at:
        yield "at", "a price says at which provider it holds"
    for name in ("input", "output", "cached_input"):
        yield from _amount(getattr(price, name), name)
    for index, tier in enumerate(price.tier):
        if tier.above_input_tokens <= 0:
            yield f"tier[{index}].above_input_tokens", "a tier begins above zero tokens"
        for name in ("input", "output", "cached_input"):
            yield from _amount(getattr(tier, name), f"tier[{index}].{name}")
    if price.off_peak is not None:
        for name in ("input", "output", "cached_input"):
            yield from _amount(getattr(price.off_peak, name), f"off_peak.{name}")


def _amount(value: Decimal | None, path: str) -> Iterator[Finding]:
    if value is not None and not (value.is_finite() and value >= 0):
        yield path, f"a price is zero or more, found {value}"


def _countries(value: str | None, path: str) -> Iterator[Finding]:
    if value is not None and not is_country(value):
        yield path, f"`{value}` is no country; write two ISO 3166 letters such as KR"


def _territories(values: tuple[str, ...] | None, path: str) -> Iterator[Finding]:
    for index, value in enumerate(values or ()):
        if not is_territory(value):
            yield f"{path}[{index}]", f"`{value}` is no country; write ISO 3166 letters such as KR, or EU or EEA"


def _wires(value: str | None, path: str) -> Iterator[Finding]:
    if value is not None and not WIRE.fullmatch(value):
        yield path, f"`{value}` is no dialect; write openai-chat, another known one or `own:NAME`"


def _variables(values: tuple[str, ...], path: str) -> Iterator[Finding]:
    for value in values:
        if not VARIABLE.fullmatch(value):
            yield path, "this is the name of an environment variable (capitals, digits, `_`), never a key itself"


def _sources(values: tuple[str, ...]) -> Iterator[Finding]:
    if not values:
        yield "source", "a fact names at least one source"
    for index, value in enumerate(values):
        if not value.startswith(("https://", "http://", "shoal.toml")):
            yield f"source[{index}]", f"`{value}` is no address"
