"""Models and endpoints: the facts a request is decided on.

`None` means unknown, never false. Everything here is loaded once and immutable; health lives in the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from shoal.core.money import Price


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rating:
    """A public rating on an Elo scale with its 95 % bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Model:
    """A language model, wherever it runs. `developer_country` is the origin of the weights, `base_model` included."""

    id: str
    developer: str | None
    developer_country: str | None = None
    developer_parent: str | None = None
    family: str | None = None
    base_model: str | None = None
    base_country: str | None = None
    open_weights: bool | None = None
    licence: str | None = None
    licence_flags: tuple[str, ...] | None = None
    status: str = "current"
    input: tuple[str, ...] | None = None
    context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    reasoning_effort: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    params_total_b: float | None = None
    params_active_b: float | None = None
    flop_log10: float | None = None
    export_hold: str = "none"
    ratings: Mapping[str, Rating] = field(default_factory=_empty)
    source: tuple[str, ...] = ()
    as_of: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one endpoint is allowed: calls at once, and seconds of silence before it counts as failed."""

    concurrency: int = 32
    connect_s: float = 5.0
    first_byte_s: float = 60.0
    gap_s: float = 30.0
    total_s: float = 600.0
    retries: int = 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one provider in one place.

    `id` is `PROVIDER[@PLACE]/NATIVE-NAME`. `key_env` names the variable or secret that holds the credential; the
    credential itself is never part of a fact. `card` maps a task to (right, asked) from a report card; `skills` is
    None for a general model and the closed list of what it can do for a practice model.
    """

    id: str
    provider: str
    native_name: str
    model: Model
    base_url: str
    dialect: str = "openai-chat"
    place: str | None = None
    auth: str = "bearer"
    key_env: str | None = None
    quirks: frozenset[str] = frozenset()
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
    price: Price | None = None
    limits: Limits = Limits()
    skills: frozenset[str] | None = None
    card: Mapping[str, tuple[int, int]] = field(default_factory=_empty)
    practice: bool = False
    local: bool = False
    note: str | None = None

    @property
    def developer(self) -> str | None:
        """Who trained the model, or None where nobody knows."""
        return self.model.developer
