"""The snapshot: the pool as it stands, immutable, and what a client's model name means in it.

Knows names and endpoints. Knows nothing of permits, health or money: it says who is meant, not who may or can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shoal.catalogue.endpoints import SPOKEN, Builder
from shoal.catalogue.entries import Entry, Profile
from shoal.catalogue.loader import Facts
from shoal.core.endpoint import Endpoint
from shoal.core.errors import CallerError, SetupError, UnknownModel
from shoal.core.request import Effort
from shoal.core.selector import Narrowing

EFFORTS: Mapping[str, Effort] = MappingProxyType(
    {"shoal": Effort.AUTO, "shoal-fast": Effort.FAST, "shoal-deep": Effort.DEEP}
)
PRACTICE = "practice"
MAX_NAME = 200
_NOBODY: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Selection:
    """What a model name means: the endpoints it may mean, and what it says beside.

    `named` says that the client chose a model itself. `narrowing`, `budget_usd` and `deadline_s` come from a profile
    and hold on top of what the request says; `endpoints` is not yet narrowed by them, so that policy sees everyone.
    """

    endpoints: tuple[Endpoint, ...]
    effort: Effort | None
    named: bool
    profile: str | None = None
    narrowing: Narrowing = Narrowing()
    budget_usd: Decimal | None = None
    deadline_s: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """Every endpoint in the pool at one moment; `version` changes whenever any fact of it does."""

    endpoints: tuple[Endpoint, ...]
    version: str
    instance_country: str | None = None
    profiles: Mapping[str, Profile] = field(default_factory=lambda: MappingProxyType({}))
    offered: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOBODY)
    """Catalogue models -> providers that serve them, pool or not: so that a refusal can say what to add."""

    @cached_property
    def by_id(self) -> Mapping[str, Endpoint]:
        """Endpoint id -> endpoint."""
        return MappingProxyType({endpoint.id: endpoint for endpoint in self.endpoints})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name a client may use, Shoal's own first."""
        own = [*EFFORTS, *(f"shoal/{name}" for name in self.profiles)]
        if any(endpoint.practice for endpoint in self.endpoints):
            own.append(f"shoal/{PRACTICE}")
        models = dict.fromkeys(endpoint.model.id for endpoint in self.endpoints)
        return tuple(dict.fromkeys([*own, *self.by_id, *models]))

    @cached_property
    def general(self) -> tuple[Endpoint, ...]:
        """Who serves requests that name nobody: the practice pool only while there is nothing else."""
        real = tuple(endpoint for endpoint in self.endpoints if not endpoint.practice)
        return real or self.endpoints

    def resolve(self, name: str) -> Selection:
        """Return what a model name means.

        Raises:
            UnknownModel: nothing here has that name.
            CallerError: the name has two readings.
        """
        if not isinstance(name, str) or not name or len(name) > MAX_NAME or not name.isprintable():
            raise CallerError(f"a model name is 1 to {MAX_NAME} printable characters", param="model")
        if name in EFFORTS:
            return Selection(self.general, EFFORTS[name], named=False)
        if name.startswith("shoal/"):
            return self._of_profile(name.removeprefix("shoal/"))
        if name.startswith("shoal-"):
            raise self._unknown(name)
        return Selection(self._named(name), None, named=True)

    def _of_profile(self, name: str) -> Selection:
        if name == PRACTICE:
            found = tuple(endpoint for endpoint in self.endpoints if endpoint.practice)
            return Selection(found, Effort.AUTO, named=True, profile=name)
        profile = self.profiles.get(name)
        if profile is None:
            raise self._unknown(f"shoal/{name}")
        return Selection(
            self.general,
            profile.effort,
            named=False,
            profile=name,
            narrowing=profile.narrowing,
            budget_usd=profile.budget_usd,
            deadline_s=profile.deadline_s,
        )

    def _named(self, name: str) -> tuple[Endpoint, ...]:
        head, _, native = name.partition("/")
        provider, at, place = head.partition("@")
        by_provider = tuple(
            endpoint
            for endpoint in self.endpoints
            if endpoint.provider == provider and endpoint.native_name == native and (not at or endpoint.place == place)
        )
        by_model = tuple(endpoint for endpoint in self.endpoints if endpoint.model.id == name)
        if not by_provider and not by_model:
            raise self._unknown(name)
        if by_provider and by_model and not _agree(by_provider, by_model):
            raise _collision(name, by_provider, by_model)
        return by_provider or by_model

    def _unknown(self, name: str) -> UnknownModel:
        tail = name.rpartition("/")[2]
        close = get_close_matches(name, self.names, n=3, cutoff=0.6)
        close += [known for known in self.names if known.rpartition("/")[2] == tail and known not in close]
        message = f"there is no model `{name}` here"
        if close:
            message += "; close to it: " + ", ".join(f"`{known}`" for known in close[:3])
        if name in self.offered:
            message += f"; the catalogue has it: `shoal add {self.offered[name][0]}`"
        return UnknownModel(f"{message}; `shoal models` lists all", param="model", detail={"close": close[:3]})


def build_snapshot(
    facts: Facts,
    entries: Iterable[Entry] = (),
    extra_endpoints: Sequence[Endpoint] = (),
    *,
    instance_country: str | None = None,
    profiles: Iterable[Profile] = (),
    dialects: Sequence[str] = SPOKEN,
) -> Snapshot:
    """Return the pool that an operator's entries make of the facts, with endpoints found elsewhere added.

    Raises:
        SetupError: an entry cannot be served, or two endpoints have the same id.
    """
    builder = Builder(facts, instance_country=instance_country, dialects=dialects)
    endpoints: list[Endpoint] = []
    for entry in entries:
        known = {endpoint.id: endpoint for endpoint in endpoints}
        found = [_apart(endpoint, known) for endpoint in builder.entry(entry)]
        for endpoint in found:
            if endpoint.id in known:
                raise SetupError(f"{entry.where}: `{endpoint.id}` is in the pool already; keep one of the two entries")
        endpoints += found
    offered: dict[str, tuple[str, ...]] = {
        model.id: tuple(dict.fromkeys(via.provider for via in model.via))
        for model in facts.models.values()
        if model.via
    }
    by_name = {profile.name: profile for profile in profiles}
    taken = {endpoint.id for endpoint in endpoints}
    found_elsewhere = [endpoint for endpoint in extra_endpoints if endpoint.id not in taken]
    return _snapshot((*endpoints, *found_elsewhere), instance_country, by_name, offered)


def _apart(endpoint: Endpoint, known: Mapping[str, Endpoint]) -> Endpoint:
    """Name a second local server of the same kind by its port, where it has a model that the first one has too."""
    other = known.get(endpoint.id)
    if other is None or not endpoint.local or other.base_url == endpoint.base_url:
        return endpoint
    place = str(urlsplit(endpoint.base_url).port or 80)
    return replace(endpoint, id=f"{endpoint.provider}@{place}/{endpoint.native_name}", place=place)


def _snapshot(
    endpoints: tuple[Endpoint, ...],
    country: str | None,
    profiles: Mapping[str, Profile],
    offered: Mapping[str, tuple[str, ...]],
) -> Snapshot:
    seen: set[str] = set()
    for endpoint in endpoints:
        if endpoint.id in seen:
            raise SetupError(f"two endpoints are called `{endpoint.id}`; rename one of them")
        seen.add(endpoint.id)
    content = msgspec.json.encode([country, endpoints], order="deterministic", enc_hook=_plain)
    version = hashlib.sha256(content).hexdigest()[:16]
    return Snapshot(endpoints, version, country, MappingProxyType(dict(profiles)), MappingProxyType(dict(offered)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no plain form for {type(value).__name__}")


def _agree(by_provider: tuple[Endpoint, ...], by_model: tuple[Endpoint, ...]) -> bool:
    """Whether both readings mean the same model at the same addresses, so that nobody can be surprised."""
    here = {(endpoint.provider, endpoint.place) for endpoint in by_provider}
    there = {(endpoint.provider, endpoint.place) for endpoint in by_model}
    same_model = {endpoint.model.id for endpoint in by_provider} == {endpoint.model.id for endpoint in by_model}
    return same_model and here == there


def _collision(name: str, by_provider: tuple[Endpoint, ...], by_model: tuple[Endpoint, ...]) -> CallerError:
    first = by_provider[0]
    exact = f"{first.provider}@{first.place}/{first.native_name}" if first.place else first.id
    at_provider = [endpoint.id for endpoint in by_provider]
    of_model = [endpoint.id for endpoint in by_model]
    return CallerError(
        f"`{name}` has two readings: what `{first.provider}` serves under that name ({', '.join(at_provider)}), "
        f"or the model of that name wherever it is served ({', '.join(of_model)}); write `{exact}` for the first, or "
        f'`shoal` with `"only": ["model:{name}"]` for the second',
        param="model",
        detail={"readings": {"provider": at_provider, "model": of_model}},
    )
