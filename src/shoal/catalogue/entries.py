"""What an operator says about the pool, as plain values the catalogue can work with.

Settings translate shoal.toml into these; the catalogue knows neither the file nor the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from shoal.catalogue.rows import PriceRow
from shoal.core.request import Effort
from shoal.core.selector import Narrowing


@dataclass(frozen=True, slots=True)
class Stated:
    """Facts the operator states over the catalogue's. None: nothing said, the catalogue's fact holds."""

    host_country: str | None = None
    operator: str | None = None
    operator_country: str | None = None
    operator_parent: str | None = None
    storage_country: str | None = None
    retention_days: int | None = None
    trains_on_input: bool | None = None
    human_review: bool | None = None
    region_pinned: bool | None = None
    accelerator: str | None = None
    transfer_bases: tuple[str, ...] | None = None
    certifications: tuple[str, ...] | None = None
    registrations: tuple[str, ...] | None = None
    terms: tuple[str, ...] | None = None
    attested: str | None = None

    def said(self) -> dict[str, object]:
        """Return only what was said."""
        pairs = ((name, getattr(self, name)) for name in Stated.__slots__)
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits the operator sets over the usual ones. None: the usual one holds."""

    concurrency: int | None = None
    connect_s: float | None = None
    first_byte_s: float | None = None
    gap_s: float | None = None
    total_s: float | None = None
    retries: int | None = None

    def said(self) -> dict[str, float | int]:
        """Return only what was said."""
        pairs = ((name, getattr(self, name)) for name in Bounds.__slots__)
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class Entry:
    """A provider in the pool: which places, which models, and what is special about them here.

    `where` is how errors name the entry, for example "shoal.toml: `provider[0]`".
    """

    provider: str
    places: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    key: str | None = None  # the name of the variable or secret
    base_url: str | None = None
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    plain_http: bool = False
    stated: Stated = Stated()
    bounds: Bounds = Bounds()
    prices: Mapping[str, PriceRow] = field(default_factory=lambda: MappingProxyType({}))  # by native name, `*` for all
    where: str = "shoal.toml"


@dataclass(frozen=True, slots=True)
class Profile:
    """A name `shoal/NAME` with the narrowing and limits that go with it."""

    name: str
    narrowing: Narrowing = Narrowing()
    budget_usd: Decimal | None = None
    deadline_s: float | None = None
    effort: Effort = Effort.AUTO
