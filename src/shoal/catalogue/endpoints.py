"""Endpoints from facts: one model at one provider in one place, with every fact that is known about it.

Adds nothing to the facts: what no row states stays None. Where a country is promised for storage only, it says
nothing about where the work is done.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from shoal.catalogue.checks import TEMPLATE, is_loopback, price_faults, url_fault
from shoal.catalogue.entries import Entry
from shoal.catalogue.loader import Facts
from shoal.catalogue.prices import price_at, priced
from shoal.catalogue.rows import ModelRow, Place, ProviderRow
from shoal.core.endpoint import Endpoint, Limits, Model, Rating
from shoal.core.errors import SetupError
from shoal.core.money import FREE

SPOKEN = ("openai-chat",)
"""The dialects this version speaks; `wire.dialects` holds their code."""

SILENT_FOR_HOURS_S = 7200.0  # quirk long_stream_idle: the vendor's own client waits this long
THINKING_FIRST_BYTE_S = 300.0  # a reasoning model asked without a stream answers only when it has thought
LOCAL_CONCURRENCY = 8
_UNRATED: Mapping[str, Rating] = MappingProxyType({})
_UNNAMED = re.compile(r"[<>]")
_FORWARDED = re.compile(r"[:-]cloud$")  # Ollama hands these on to its own cloud: not this machine, country unknown


class Builder:
    """Makes endpoints; builds each model once."""

    def __init__(
        self, facts: Facts, *, instance_country: str | None = None, dialects: Collection[str] = SPOKEN
    ) -> None:
        self._facts = facts
        self._country = instance_country
        self._dialects = dialects
        self._models: dict[str, Model] = {}

    def catalogue(self, provider: ProviderRow) -> tuple[Endpoint, ...]:
        """Return every endpoint the facts know at a provider, also those whose dialect is not spoken yet."""
        return tuple(
            self.endpoint(provider, place, native, row)
            for place in provider.place
            if place.chat
            for native, row in self._facts.served.get(provider.id, ())
            if _serves(place, native) and not _UNNAMED.search(native)
        )

    def everything(self) -> tuple[Endpoint, ...]:
        """Return every endpoint of the whole catalogue, and every model that has no address one could call.

        The latter have an empty `base_url`; nothing here says that an endpoint can be called.
        """
        found = [endpoint for provider in self._facts.providers.values() for endpoint in self.catalogue(provider)]
        seen = {(endpoint.provider, endpoint.native_name) for endpoint in found}
        nowhere = Place(id="", base_url="")
        for row in self._facts.models.values():
            for via in row.via:
                if (via.provider, via.model) not in seen:
                    made = self.endpoint(self._facts.providers[via.provider], nowhere, via.model, row)
                    found.append(replace(made, id=f"{via.provider}/{via.model}", place=None))
            if not row.via:
                found.append(Endpoint(row.id, "", row.id, self.model(row), base_url="", dialect="none"))
        return tuple(found)

    def entry(self, entry: Entry) -> tuple[Endpoint, ...]:
        """Return the endpoints an operator's entry puts into the pool.

        Raises:
            SetupError: the entry names what is not there, or lacks what a call would need.
        """
        provider = self._facts.providers.get(entry.provider)
        if provider is None:
            raise SetupError(
                f"{entry.where}: `id`: there is no provider `{entry.provider}`; `shoal models --all` lists them, and "
                "one of your own needs a `base_url`"
            )
        offers = tuple(self._offers(provider, entry))
        found = tuple(
            self.endpoint(provider, place, native, row, entry=entry)
            for place in self._places(provider, entry, [native for native, _ in offers])
            for native, row in offers
            if _serves(place, native)
        )
        if not found:
            raise SetupError(f"{entry.where}: `models`: none of them is served at the chosen places")
        if any(endpoint.auth != "none" and endpoint.key_env is None for endpoint in found):
            raise SetupError(
                f"{entry.where}: `key_env`: no customary variable is known for `{provider.id}`; "
                "name the one that holds your key"
            )
        return found

    def local(self, provider_id: str, base_url: str, natives: Iterable[str]) -> tuple[Endpoint, ...]:
        """Return the endpoints of a local server that was found running, for the models it says it has."""
        provider = self._facts.providers[provider_id]
        place = msgspec.structs.replace(provider.place[0], base_url=base_url)
        return tuple(self.endpoint(provider, place, name, self._row(provider_id, name)) for name in natives)

    def endpoint(
        self, provider: ProviderRow, place: Place, native: str, row: ModelRow | None, *, entry: Entry | None = None
    ) -> Endpoint:
        """Return one endpoint with all that is known about it."""
        forwarded = provider.id == "ollama" and _FORWARDED.search(native) is not None
        local = provider.kind == "local" and is_loopback(place.base_url) and not forwarded
        key = (entry.key if entry else None) or next(iter(place.env or provider.env), None)
        auth = provider.auth.word if provider.auth else "none"
        if auth == "none":
            key = entry.key if entry else None
            auth = "bearer" if key else "none"
        model = self.model(row) if row else Model(id=f"{provider.id}/{native}", developer=None)
        made = Endpoint(
            id=_endpoint_id(provider, place, native),
            provider=provider.id,
            native_name=native,
            model=model,
            base_url=place.base_url,
            dialect=self._dialect(provider, place) or place.wire or provider.wire or "openai-chat",
            place=place.id,
            auth=auth,
            key_env=key,
            quirks=frozenset(provider.quirks),
            host_country=self._country if local else place.country if "processing" in place.covers else None,
            operator="local" if local else None if forwarded else provider.legal_entity or provider.name,
            operator_country=self._country if local else provider.home_country,
            storage_country=self._country if local else _storage(provider, place),
            retention_days=provider.retention_days,
            trains_on_input=provider.trains_on_input,
            region_pinned=place.region_pinned,
            terms=_terms(provider, row),
            attested="operator" if local else place.country_basis,
            price=FREE if local else price_at(row, provider, place, native, self._facts.usd_per_unit),
            limits=_limits(provider, model, local=local),
            local=local,
            note=place.note,
        )
        return self._as_stated(made, entry) if entry else made

    def model(self, row: ModelRow) -> Model:
        """Return a model as it travels, its origin followed through the models it was made from."""
        if row.id not in self._models:
            self._models[row.id] = Model(
                id=row.id,
                developer=row.developer,
                developer_country=row.home_country,
                developer_parent=row.developer_parent,
                family=row.family,
                base_model=row.base_model,
                base_country=self._origin(row),
                open_weights=row.open_weights,
                licence=row.licence,
                licence_flags=row.licence_flags,
                status=row.status,
                input=row.input,
                context=row.context,
                max_output=row.max_output,
                tools=row.tools,
                reasoning=row.reasoning,
                reasoning_effort=row.reasoning_effort,
                languages=row.languages,
                params_total_b=row.params_total_b,
                params_active_b=row.params_active_b,
                flop_log10=row.flop_log10,
                export_hold=row.export_hold,
                ratings=self._facts.ratings.get(row.id, _UNRATED),
                source=row.source,
                as_of=row.as_of.isoformat(),
            )
        return self._models[row.id]

    def speaks(self, provider: ProviderRow, place: Place) -> bool:
        """Return whether this version can talk to a place."""
        return place.chat and self._dialect(provider, place) is not None

    def _origin(self, row: ModelRow) -> str | None:
        """The country of the first model in the chain of bases; facts are free of circles."""
        base = self._facts.models.get(row.base_model or "")
        if base is None:
            return row.base_country
        return self._origin(base) or base.home_country or row.base_country

    def _dialect(self, provider: ProviderRow, place: Place) -> str | None:
        """The dialect to use at a place: its own, or another one known at the very same address."""
        first = place.wire or provider.wire
        if first in self._dialects:
            return first
        if place.wire is None:
            for also in provider.also_wires:
                if also.same_base and also.wire in self._dialects:
                    return also.wire
        return None

    def _as_stated(self, endpoint: Endpoint, entry: Entry) -> Endpoint:
        """The endpoint with what the operator states laid over the facts."""
        said: dict[str, Any] = entry.stated.said()
        if said:
            said.setdefault("attested", "operator")
        bounds: dict[str, Any] = entry.bounds.said()
        price = entry.prices.get(endpoint.native_name) or entry.prices.get("*")
        if price is not None:
            for path, reason in price_faults(price, self._facts.usd_per_unit):
                raise SetupError(f"{entry.where}: `prices.{endpoint.native_name}.{path}`: {reason}")
            said["price"] = priced(price, Decimal(1), self._facts.usd_per_unit)
        return replace(endpoint, **said, limits=replace(endpoint.limits, **bounds))

    def _row(self, provider_id: str, native: str) -> ModelRow | None:
        """The model behind a name at a local server, also where the catalogue has the name at another one."""
        tail = native.casefold().removesuffix(":latest")
        other = None
        for provider, rows in self._facts.served.items():
            for name, row in rows:
                if name.casefold() == tail:
                    if provider == provider_id:
                        return row
                    other = other or row
        return other or self._facts.models.get(native)

    def _offers(self, provider: ProviderRow, entry: Entry) -> Iterator[tuple[str, ModelRow | None]]:
        known = self._facts.served.get(provider.id, ())
        if not entry.models:
            if provider.kind == "local" and provider.evidence != "operator":
                raise SetupError(
                    f"{entry.where}: `models`: list what your server runs; running servers are found by themselves "
                    "where `[discovery]` is on"
                )
            if not known:
                raise SetupError(
                    f"{entry.where}: `models`: the catalogue knows none at `{provider.id}`; describe yours as "
                    f'`[[model]]` with `via = [{{ provider = "{provider.id}", model = "NAME" }}]`'
                )
            yield from (offer for offer in known if not _UNNAMED.search(offer[0]))
            return
        for index, wanted in enumerate(entry.models):
            found = [(native, row) for native, row in known if wanted in (native, row.id)]
            exact = [offer for offer in found if offer[0] == wanted]
            if found:
                yield from exact or found
            elif provider.kind == "local":
                yield wanted, self._row(provider.id, wanted)
            else:
                raise SetupError(
                    f"{entry.where}: `models[{index}]`: `{wanted}` is not known at `{provider.id}`; describe it as "
                    f'`[[model]]` with `via = [{{ provider = "{provider.id}", model = "{wanted}" }}]`'
                )

    def _places(self, provider: ProviderRow, entry: Entry, natives: list[str]) -> tuple[Place, ...]:
        by_id = {place.id: place for place in provider.place}
        for index, wanted in enumerate(entry.places):
            if wanted not in by_id:
                known = ", ".join(by_id) or "none"
                raise SetupError(f"{entry.where}: `places[{index}]`: no place `{wanted}` at `{provider.id}` ({known})")
            if not self.speaks(provider, by_id[wanted]):
                raise SetupError(
                    f"{entry.where}: `places[{index}]`: `{provider.id}@{wanted}` is spoken to in "
                    f"`{by_id[wanted].wire or provider.wire}`, which this version does not speak"
                )
        spoken = [place for place in provider.place if self.speaks(provider, place)]
        chosen = [by_id[wanted] for wanted in entry.places]
        if not chosen:
            chosen = [place for place in spoken if any(_serves(place, native) for native in natives)][:1]
        if not chosen and entry.base_url and provider.wire in self._dialects:
            chosen = [Place(id="own", base_url=entry.base_url)]
        if not chosen:
            if provider.place and not spoken or provider.wire and provider.wire not in self._dialects:
                reason = f"speaks `{provider.wire}`, which this version does not speak yet"
            else:
                reason = "has no known address for these models; a `base_url` would name it"
            raise SetupError(f"{entry.where}: `id`: `{provider.id}` {reason}")
        return tuple(_addressed(place, provider, entry) for place in chosen)


def _addressed(place: Place, provider: ProviderRow, entry: Entry) -> Place:
    """Return the place with the operator's own address and the blanks of the catalogue's filled in."""
    blanks = TEMPLATE.findall(place.base_url)
    if entry.base_url is not None and entry.base_url != place.base_url:
        fixed = provider.kind != "local" and not blanks and place.id != "own" and not is_loopback(entry.base_url)
        if fixed:
            raise SetupError(
                f"{entry.where}: `base_url`: the address of `{provider.id}` is a fact; for another service give the "
                "entry an id of its own"
            )
        if fault := url_fault(entry.base_url, plain_http=entry.plain_http):
            raise SetupError(f"{entry.where}: `base_url`: {fault}")
        return msgspec.structs.replace(
            place, base_url=entry.base_url.rstrip("/"), country=None, country_basis=None, region_pinned=None
        )
    missing = [name for name in blanks if name not in entry.variables]
    if missing:
        raise SetupError(
            f"{entry.where}: `variables.{missing[0]}`: the address `{place.base_url}` needs it; "
            f'write `variables = {{ {missing[0]} = "..." }}`'
        )
    url = TEMPLATE.sub(lambda match: entry.variables[match.group(1)], place.base_url)
    if fault := url_fault(url, plain_http=entry.plain_http):
        raise SetupError(f"{entry.where}: `variables`: {fault}")
    return msgspec.structs.replace(place, base_url=url)


def _endpoint_id(provider: ProviderRow, place: Place, native: str) -> str:
    head = f"{provider.id}@{place.id}" if len(provider.place) > 1 else provider.id
    return f"{head}/{native}"


def _serves(place: Place, native: str) -> bool:
    return not place.models or native in place.models


def _storage(provider: ProviderRow, place: Place) -> str | None:
    return place.country if "storage" in place.covers else provider.storage_country


def _terms(provider: ProviderRow, row: ModelRow | None) -> tuple[str, ...] | None:
    refused = row.not_available_in if row else None
    if provider.not_available_in is None and refused is None and provider.ownership_rule is None:
        return None
    territories = dict.fromkeys((*(provider.not_available_in or ()), *(refused or ())))
    rule = ("ownership-rule",) if provider.ownership_rule else ()
    return (*(f"not-available:{territory}" for territory in territories), *rule)


def _limits(provider: ProviderRow, model: Model, *, local: bool) -> Limits:
    limits = Limits()
    if local:
        limits = replace(limits, concurrency=LOCAL_CONCURRENCY, first_byte_s=THINKING_FIRST_BYTE_S)
    if model.reasoning:
        limits = replace(limits, first_byte_s=THINKING_FIRST_BYTE_S)
    if "long_stream_idle" in provider.quirks:
        limits = replace(
            limits, first_byte_s=SILENT_FOR_HOURS_S, gap_s=SILENT_FOR_HOURS_S, total_s=2 * SILENT_FOR_HOURS_S
        )
    return limits
