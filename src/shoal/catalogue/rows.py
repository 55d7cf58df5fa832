"""The shapes of the fact files: what a row may say, and of which type.

Knows field names and types only; whether rows fit each other is `checks`' question. A field that is absent is
unknown. An empty tuple says "none is stated", except where a field's comment says otherwise.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Literal

import msgspec

Evidence = Literal["primary", "aggregator", "press", "code", "operator"]
ProviderKind = Literal["vendor-api", "host", "local", "no-public-api"]
Status = Literal["current", "legacy", "retired", "announced", "no-public-api", "weights-only"]
InputKind = Literal["text", "image", "pdf", "video", "audio"]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of a fact file."""


class Auth(Row, frozen=True, kw_only=True):
    """How a key is handed over: as a bearer token, in a header of its own, or not at all."""

    scheme: Literal["bearer", "header", "none"]
    header: str | None = None  # for `header`: the header's name, in lower case
    note: str | None = None

    @property
    def word(self) -> str:
        """The scheme as an endpoint carries it: `bearer`, `none`, `x-api-key` or `header:NAME`."""
        if self.scheme != "header":
            return self.scheme
        return "x-api-key" if self.header == "x-api-key" else f"header:{self.header}"


class AlsoWire(Row, frozen=True, kw_only=True):
    """A further dialect the provider speaks; without `path` it is spoken at the same base URL or at an unknown one."""

    wire: str
    path: str | None = None
    same_base: bool = False  # true: known to be spoken at the very base URL of the place


class Place(Row, frozen=True, kw_only=True):
    """One address of a provider, and what is promised about where the work and the data stay."""

    id: str
    base_url: str
    country: str | None = None
    country_basis: Literal["stated", "implied"] | None = None
    covers: tuple[Literal["processing", "storage"], ...] = ("processing",)  # what the country is promised for
    region_pinned: bool | None = None
    price_factor: Decimal | None = None
    wire: str | None = None
    env: tuple[str, ...] = ()
    models: tuple[str, ...] = ()  # native names served here alone; empty: whatever the provider serves
    chat: bool = True  # false: an address of another kind, never called for an answer
    note: str | None = None


class ProviderRow(Row, frozen=True, kw_only=True):
    """A service that runs models, and the law it stands under."""

    id: str
    name: str
    kind: ProviderKind
    evidence: Evidence
    as_of: datetime.date
    source: tuple[str, ...]
    home_country: str | None = None
    legal_entity: str | None = None
    wire: str | None = None
    also_wires: tuple[AlsoWire, ...] = ()
    auth: Auth | None = None
    env: tuple[str, ...] = ()
    alt_env: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    not_available_in: tuple[str, ...] | None = None
    ownership_rule: bool | None = None
    restriction_evidence: Evidence | None = None
    storage_country: str | None = None
    retention_days: int | None = None
    trains_on_input: bool | None = None
    stateful: bool | None = None
    residency_choice: tuple[str, ...] = ()
    regulatory: tuple[str, ...] = ()
    government_restrictions: tuple[str, ...] = ()
    export_events: tuple[str, ...] = ()
    also_hosted: tuple[str, ...] = ()
    listed_models: tuple[str, ...] = ()
    documented_params: tuple[str, ...] = ()
    extra_params: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    notes: dict[str, str] = {}
    place: tuple[Place, ...] = ()


class Via(Row, frozen=True, kw_only=True):
    """A provider that serves a model, and the name it has there."""

    provider: str
    model: str


class TierRow(Row, frozen=True, kw_only=True):
    """Prices that hold above a prompt length."""

    above_input_tokens: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None


class Rate(Row, frozen=True, kw_only=True):
    """Prices for input, output and cached input."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None


class PriceRow(Row, frozen=True, kw_only=True):
    """A price per million tokens, and at which providers (or `provider@place`) it is the price."""

    at: tuple[str, ...]  # may name a service outside the catalogue: then it is kept as evidence and never applied
    currency: str
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    tier: tuple[TierRow, ...] = ()
    off_peak: Rate | None = None  # kept as a fact; calls are reckoned at the full price
    note: str | None = None


class ModelRow(Row, frozen=True, kw_only=True):
    """A model, its origin and what it can take."""

    id: str
    family: str
    developer: str
    status: Status
    evidence: Evidence
    as_of: datetime.date
    source: tuple[str, ...]
    home_country: str | None = None
    developer_parent: str | None = None
    kind: Literal["chat", "orchestrator", "translation"] = "chat"
    via: tuple[Via, ...] = ()
    base_model: str | None = None
    base_country: str | None = None
    open_weights: bool | None = None
    licence: str | None = None
    licence_flags: tuple[str, ...] | None = None
    licence_evidence: Literal["secondary"] | None = None
    licence_excluded_territories: tuple[str, ...] = ()
    context: int | None = None
    max_input: int | None = None
    max_output: int | None = None
    input: tuple[InputKind, ...] | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    structured_output: bool | None = None
    reasoning: bool | None = None
    reasoning_effort: tuple[str, ...] = ()
    built_in_tools: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    params_total_b: float | None = None
    params_active_b: float | None = None
    moe: bool | None = None
    flop_log10: float | None = None
    export_hold: Literal["none", "foreign-nationals", "allow-list", "all"] = "none"
    formats: tuple[str, ...] = ()
    hosted_in: str | None = None
    wire: str | None = None
    not_available_in: tuple[str, ...] | None = None
    sub_processors: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    end_date: datetime.date | None = None
    knowledge_cutoff: str | None = None
    price: tuple[PriceRow, ...] = ()
    notes: dict[str, str] = {}


class QuirkRow(Row, frozen=True, kw_only=True):
    """A way in which a provider differs, and what a client does about it. `provider.quirks` decides who has it."""

    id: str
    what: str
    action: str
    seen_at: tuple[str, ...]
    source: tuple[str, ...]


class ModelFile(Row, frozen=True, kw_only=True):
    """A file of models, one developer each."""

    model: tuple[ModelRow, ...]


class QuirkFile(Row, frozen=True, kw_only=True):
    """The file of quirks."""

    quirk: tuple[QuirkRow, ...]


class ExchangeFile(Row, frozen=True, kw_only=True):
    """Units of each currency that one euro buys, as one central bank published them on one day."""

    as_of: datetime.date
    source: tuple[str, ...]
    per_eur: dict[str, Decimal]


class RatingFile(Row, frozen=True, kw_only=True):
    """Ratings rounded to five points: model id -> category -> rating; `uncertainty` holds for every one of them."""

    as_of: datetime.date
    source: tuple[str, ...]
    uncertainty: int
    rating: dict[str, dict[str, int]]
