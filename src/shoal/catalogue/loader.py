"""Facts: reads the fact files once, checks them, and holds them for the life of the process.

Files are TOML: one provider a file, models by developer, quirks, exchange rates, ratings. A bad fact stops the start
with file, key path and reason. Numbers are read as decimals, so that a price is what the file says.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from shoal.catalogue.checks import Finding, model_faults, provider_faults
from shoal.catalogue.rows import ExchangeFile, ModelFile, ModelRow, ProviderRow, QuirkFile, QuirkRow, RatingFile
from shoal.core.endpoint import Rating
from shoal.core.errors import SetupError
from shoal.core.money import Rates

DIRECTORY = Path(__file__).parent / "facts"
_T = TypeVar("_T")
_UNKNOWN_KEY = re.compile(r"unknown field `([^`]+)`")
_MISSING_KEY = re.compile(r"missing required field `([^`]+)`")
_AT = re.compile(r" - at `\$\.?(.*)`$")


@dataclass(frozen=True)
class Facts:
    """Everything the catalogue knows. Immutable; `digest` names this very content."""

    providers: Mapping[str, ProviderRow]
    models: Mapping[str, ModelRow]
    quirks: Mapping[str, QuirkRow]
    exchange: ExchangeFile
    usd_per_unit: Rates
    ratings: Mapping[str, Mapping[str, Rating]]
    ratings_as_of: str
    digest: str

    @cached_property
    def served(self) -> Mapping[str, tuple[tuple[str, ModelRow], ...]]:
        """Provider id -> (native name, model) of all that it is known to serve, in catalogue order."""
        found: dict[str, list[tuple[str, ModelRow]]] = {}
        for model in self.models.values():
            for via in model.via:
                found.setdefault(via.provider, []).append((via.model, model))
        return MappingProxyType({provider: tuple(rows) for provider, rows in found.items()})

    def with_models(self, rows: Iterable[ModelRow], *, file: str, where: str = "model") -> Facts:
        """Return these facts with an operator's own models added.

        Raises:
            SetupError: a row is wrong or its name is taken.
        """
        rows = tuple(rows)
        models = dict(self.models)
        for index, row in enumerate(rows):
            if row.id in models:
                raise SetupError(f"{file}: `{where}[{index}].id`: `{row.id}` is in the catalogue already; rename it")
            models[row.id] = row
        for index, row in enumerate(rows):
            _refuse(file, f"{where}[{index}]", row.id, model_faults(row, self.providers, models, self.usd_per_unit))
        _refuse_circles(models, file)
        return self._replaced(models=models, providers=dict(self.providers), salt=repr(rows))

    def with_providers(self, rows: Iterable[ProviderRow], *, file: str) -> Facts:
        """Return these facts with an operator's own providers added.

        Raises:
            SetupError: a row is wrong or its name is taken.
        """
        rows = tuple(rows)
        providers = dict(self.providers)
        for row in rows:
            if row.id in providers:
                raise SetupError(f"{file}: `provider`: `{row.id}` is in the catalogue already; rename it")
            _refuse(file, "provider", row.id, provider_faults(row, self.quirks))
            providers[row.id] = row
        return self._replaced(models=dict(self.models), providers=providers, salt=repr(rows))

    def _replaced(self, *, models: dict[str, ModelRow], providers: dict[str, ProviderRow], salt: str) -> Facts:
        return Facts(
            providers=MappingProxyType(providers),
            models=MappingProxyType(models),
            quirks=self.quirks,
            exchange=self.exchange,
            usd_per_unit=self.usd_per_unit,
            ratings=self.ratings,
            ratings_as_of=self.ratings_as_of,
            digest=hashlib.sha256(f"{self.digest}\n{salt}".encode()).hexdigest()[:16],
        )


def load_facts(directory: Path | None = None) -> Facts:
    """Return the checked facts of a directory, by default those shipped in the package.

    Raises:
        SetupError: a fact is wrong; the message names file, key path and reason.
    """
    root = DIRECTORY if directory is None else directory
    digest = hashlib.sha256()
    quirks = {row.id: row for row in _once(_read(root / "quirks.toml", QuirkFile, digest).quirk, root / "quirks.toml")}
    exchange = _read(root / "exchange.toml", ExchangeFile, digest)
    providers = _providers(root, quirks, digest)
    models = _models(root, digest)
    rates = _rates(exchange, root / "exchange.toml")
    for file, index, row in models.values():
        faults = model_faults(row, providers, models, rates)
        _refuse(_name(file), f"model[{index}]", row.id, faults)
    plain = {name: row for name, (_, _, row) in models.items()}
    _refuse_circles(plain, "models")
    ratings = _read(root / "ratings.toml", RatingFile, digest)
    return Facts(
        providers=MappingProxyType(providers),
        models=MappingProxyType(plain),
        quirks=MappingProxyType(quirks),
        exchange=exchange,
        usd_per_unit=MappingProxyType(rates),
        ratings=_ratings(ratings, plain, root / "ratings.toml"),
        ratings_as_of=ratings.as_of.isoformat(),
        digest=digest.hexdigest()[:16],
    )


def convert(data: object, shape: type[_T], file: str, *, prefix: str = "") -> _T:
    """Return plain TOML values as a typed row.

    Raises:
        SetupError: a key is unknown or missing, or a value has the wrong type.
    """
    try:
        return msgspec.convert(data, shape, strict=True)
    except msgspec.ValidationError as error:
        path, reason = describe(error)
        where = ".".join(part for part in (prefix, path) if part)
        raise SetupError(f"{file}: `{where}`{_owner(data, path)}: {reason}") from None


def describe(error: msgspec.ValidationError) -> Finding:
    """Return the key path and the reason in a refusal by msgspec."""
    text = str(error)
    at = _AT.search(text)
    path = at.group(1) if at else ""
    reason = _AT.sub("", text)
    if found := _UNKNOWN_KEY.search(reason):
        key = found.group(1)
        return f"{path}.{key}".lstrip("."), f"there is no key `{key}` here"
    if found := _MISSING_KEY.search(reason):
        key = found.group(1)
        return f"{path}.{key}".lstrip("."), f"`{key}` is missing"
    return path, reason[:1].lower() + reason[1:]


def _owner(data: object, path: str) -> str:
    """Return ` (`ID`)` of the innermost row on the path that has an id, so that a person finds it."""
    found, value = "", data
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]
        except (KeyError, ValueError, IndexError, TypeError):
            break
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            found = f" (`{value['id']}`)"
    if not found and isinstance(data, dict) and isinstance(data.get("id"), str):
        found = f" (`{data['id']}`)"
    return found


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _read(file: Path, shape: type[_T], digest: Any) -> _T:
    try:
        content = file.read_bytes()
        data = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise SetupError(f"{_name(file)}: the file is missing from the catalogue") from None
    except UnicodeDecodeError:
        raise SetupError(f"{_name(file)}: the file is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{_name(file)}: not TOML: {error}") from None
    digest.update(content)
    return convert(data, shape, _name(file))


def _refuse(file: str, path: str, owner: str, faults: Iterator[Finding]) -> None:
    for where, reason in faults:
        full = f"{path}.{where}" if path else where
        raise SetupError(f"{file}: `{full}` (`{owner}`): {reason}")


def _once(rows: tuple[QuirkRow, ...], file: Path) -> tuple[QuirkRow, ...]:
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row.id in seen:
            raise SetupError(f"{_name(file)}: `quirk[{index}].id`: `{row.id}` stands here twice")
        seen.add(row.id)
    return rows


def _providers(root: Path, quirks: Mapping[str, QuirkRow], digest: Any) -> dict[str, ProviderRow]:
    found: dict[str, ProviderRow] = {}
    for file in sorted((root / "providers").glob("*.toml")):
        row = _read(file, ProviderRow, digest)
        if row.id != file.stem:
            raise SetupError(f"{_name(file)}: `id`: found `{row.id}`, the file's name says `{file.stem}`")
        _refuse(_name(file), "", row.id, provider_faults(row, quirks))
        found[row.id] = row
    for quirk in quirks.values():
        for index, where in enumerate(quirk.seen_at):
            if where not in found and where != "self-hosted":
                raise SetupError(f"quirks.toml: `seen_at[{index}]` (`{quirk.id}`): there is no provider `{where}`")
    return found


def _models(root: Path, digest: Any) -> dict[str, tuple[Path, int, ModelRow]]:
    found: dict[str, tuple[Path, int, ModelRow]] = {}
    for file in sorted((root / "models").glob("*.toml")):
        for index, row in enumerate(_read(file, ModelFile, digest).model):
            if row.id in found:
                raise SetupError(
                    f"{_name(file)}: `model[{index}].id`: `{row.id}` stands in {_name(found[row.id][0])} too"
                )
            found[row.id] = (file, index, row)
    return found


def _refuse_circles(models: Mapping[str, ModelRow], file: str) -> None:
    for name in models:
        seen, at = {name}, models[name].base_model
        while at is not None and at in models:
            if at in seen:
                raise SetupError(f"{file}: `base_model` (`{name}`): a model cannot be made from itself, found a circle")
            seen.add(at)
            at = models[at].base_model


def _rates(exchange: ExchangeFile, file: Path) -> dict[str, Decimal]:
    dollar = exchange.per_eur.get("USD")
    for currency, rate in exchange.per_eur.items():
        if not (rate.is_finite() and rate > 0):
            raise SetupError(f"{_name(file)}: `per_eur.{currency}`: a rate is above zero, found {rate}")
    if dollar is None:
        raise SetupError(f"{_name(file)}: `per_eur.USD` is missing, and costs are reckoned in dollars")
    return {
        currency: Decimal(1) if currency == "USD" else (dollar / rate).quantize(Decimal("0.00000001"))
        for currency, rate in exchange.per_eur.items()
    }


def _ratings(found: RatingFile, models: Mapping[str, ModelRow], file: Path) -> Mapping[str, Mapping[str, Rating]]:
    ratings: dict[str, Mapping[str, Rating]] = {}
    for model, values in found.rating.items():
        if model not in models:
            raise SetupError(f"{_name(file)}: `rating`: there is no model `{model}`")
        ratings[model] = MappingProxyType(
            {
                category: Rating(float(value), float(value - found.uncertainty), float(value + found.uncertainty))
                for category, value in values.items()
            }
        )
    return MappingProxyType(ratings)
