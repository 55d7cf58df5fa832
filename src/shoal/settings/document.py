"""Reads shoal.toml, checks it, and translates it into the values other rooms understand."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from shoal.catalogue.checks import is_loopback
from shoal.catalogue.entries import Bounds, Entry, Profile, Stated
from shoal.catalogue.loader import Facts, describe
from shoal.catalogue.rows import Auth, ModelRow, PriceRow, ProviderRow
from shoal.core.errors import SetupError
from shoal.core.request import Effort
from shoal.core.selector import Narrowing, Selector, parse
from shoal.settings.credentials import FILE_PREFIX, written_secrets
from shoal.settings.faults import faults
from shoal.settings.folders import find_file
from shoal.settings.sections import ModelSection, PriceSetting, ProfileSection, ProviderSection, Settings

MAX_FILE_BYTES = 1_000_000
_STATED = tuple(name for name in Stated.__slots__ if name != "terms")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the file they come from; `file` is None where every default holds."""

    settings: Settings
    file: Path | None = None
    written: datetime.date = datetime.date.min
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """How errors call the file."""
        return str(self.file) if self.file else "shoal.toml"

    def facts(self, facts: Facts) -> Facts:
        """Return the facts with this operator's own providers and models added.

        Raises:
            SetupError: one of them is wrong.
        """
        own = [row for row in self.settings.provider if row.id not in facts.providers]
        for index, row in enumerate(self.settings.provider):
            if row in own and row.base_url is None:
                raise self._refusal(
                    f"provider[{index}].id",
                    f"there is no provider `{row.id}`; `shoal models --all` lists them, and a service of your own "
                    "needs a `base_url`",
                )
        facts = facts.with_providers((self._provider(row) for row in own), file=self.name)
        return facts.with_models((self._model(row) for row in self.settings.model), file=self.name)

    def entries(self) -> tuple[Entry, ...]:
        """Return the pool's entries in the order of the file."""
        return tuple(self._entry(index, row) for index, row in enumerate(self.settings.provider))

    def profiles(self) -> tuple[Profile, ...]:
        """Return the profiles clients may name."""
        return tuple(_profile(row) for row in self.settings.profile)

    def client_keys(self) -> tuple[str, ...]:
        """Return the names of the secrets clients may present, files by their full path."""
        return tuple(
            self._file_name(name.removeprefix(FILE_PREFIX)) if name.startswith(FILE_PREFIX) else name
            for name in self.settings.server.keys
        )

    def rules(self) -> tuple[tuple[Selector, ...], tuple[Selector, ...]]:
        """Return the selectors that permit and those that forbid."""
        policy = self.settings.policy
        return tuple(map(parse, policy.allow)), tuple(map(parse, policy.deny))

    def _file_name(self, text: str) -> str:
        """The name of a secret in a file; a relative path starts at the settings file."""
        path = Path(text).expanduser()
        return f"{FILE_PREFIX}{path if path.is_absolute() or not self.file else self.file.absolute().parent / path}"

    def _refusal(self, path: str, reason: str) -> SetupError:
        return refusal(self.name, self.lines, path, reason)

    def _entry(self, index: int, row: ProviderSection) -> Entry:
        line = _line_of(self.lines, f"provider[{index}]")
        return Entry(
            provider=row.id,
            places=row.places,
            models=row.models,
            key=row.key_env if row.key_file is None else self._file_name(row.key_file),
            base_url=row.base_url,
            variables=MappingProxyType(dict(row.variables)),
            plain_http=row.plain_http,
            stated=Stated(**{name: getattr(row, name) for name in _STATED}),
            bounds=Bounds(**{name: getattr(row, name) for name in Bounds.__slots__}),
            prices=MappingProxyType({name: _price(price, (row.id,)) for name, price in row.prices.items()}),
            where=f"{self.name}{f':{line}' if line else ''}: `provider[{index}]`",
        )

    def _provider(self, row: ProviderSection) -> ProviderRow:
        scheme, _, header = row.auth.partition(":")
        return ProviderRow(
            id=row.id,
            name=row.name or row.id,
            kind="local" if is_loopback(row.base_url or "") else "host",
            home_country=row.operator_country,
            legal_entity=row.operator,
            wire=row.dialect,
            auth=Auth(scheme=scheme, header=header.casefold() or None),  # type: ignore[arg-type]  # checked by _providers
            quirks=row.quirks,
            evidence="operator",
            as_of=self.written,
            source=("shoal.toml",),
        )

    def _model(self, row: ModelSection) -> ModelRow:
        providers = tuple(dict.fromkeys(via.provider for via in row.via))
        same = set(ModelRow.__struct_fields__) & set(ModelSection.__struct_fields__) - {"price", "family"}
        return ModelRow(
            **{name: getattr(row, name) for name in same},
            family=row.family or row.id,
            status="current",
            home_country=row.developer_country,
            price=(_price(row.price, providers),) if row.price else (),
            evidence="operator",
            as_of=self.written,
            source=("shoal.toml",),
        )


def load(config: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Return the settings in force: those of the file that `find_file` finds, or the defaults.

    Raises:
        SetupError: the file cannot be read or something in it is wrong.
    """
    path = find_file(config, environ)
    if path is None:
        return Loaded(Settings())
    try:
        content = path.read_bytes()
        written = datetime.date.fromtimestamp(path.stat().st_mtime)
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; check its owner and permissions") from None
    if len(content) > MAX_FILE_BYTES:
        raise SetupError(f"{path}: over {MAX_FILE_BYTES} bytes; this is no settings file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SetupError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    return check_text(text, path, written)


def check_text(text: str, path: Path, written: datetime.date = datetime.date.min) -> Loaded:
    """Return the settings a text stands for.

    Raises:
        SetupError: something in it is wrong; the message names file, line, key path and the way out.
    """
    file = str(path)
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{file}:{_toml_line(str(error), text)}: not TOML: {_toml_reason(str(error))}") from None
    except RecursionError:
        raise SetupError(f"{file}: nested too deeply; no setting needs more than a few levels") from None
    lines = line_numbers(text)
    for where, reason in written_secrets(data):
        raise refusal(file, lines, where, reason)
    try:
        settings = msgspec.convert(data, Settings, strict=True)
    except msgspec.ValidationError as error:
        where, reason = describe(error)
        raise refusal(file, lines, where, _with_choices(where, reason)) from None
    for where, reason in faults(settings):
        raise refusal(file, lines, where, reason)
    return Loaded(settings, path, written, MappingProxyType(lines))


def refusal(file: str, lines: Mapping[str, int], path: str, reason: str) -> SetupError:
    """Return the error for a key path, with its line where the text has one."""
    line = _line_of(lines, path)
    place = f"{file}:{line}" if line else file
    return SetupError(f"{place}: `{path}`: {reason}")


def line_numbers(text: str) -> dict[str, int]:
    """Return key path -> line for the tables and keys of a TOML text; what spans lines is found by its first one."""
    lines: dict[str, int] = {}
    table, seen = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if match := re.match(r"\[\[\s*([A-Za-z0-9_.\"-]+)\s*\]\]", stripped):
            name = match.group(1)
            seen[name] = seen.get(name, -1) + 1
            table = f"{name}[{seen[name]}]"
            lines.setdefault(table, number)
        elif match := re.match(r"\[\s*([A-Za-z0-9_.\"-]+)\s*\]", stripped):
            head, _, rest = match.group(1).partition(".")
            table = f"{head}[{seen[head]}].{rest}" if rest and head in seen else match.group(1)
            lines.setdefault(table, number)
        elif match := re.match(r"([A-Za-z0-9_.-]+|\"[^\"]+\")\s*=", stripped):
            key = match.group(1).strip('"')
            lines.setdefault(f"{table}.{key}" if table else key, number)
    return lines


def _line_of(lines: Mapping[str, int], path: str) -> int | None:
    while path:
        if path in lines:
            return lines[path]
        path = path[: max(path.rfind("."), path.rfind("["))] if re.search(r"[.\[]", path) else ""
    return None


def _toml_line(message: str, text: str) -> int:
    match = re.search(r"at line (\d+)", message)
    return int(match.group(1)) if match else len(text.splitlines())  # else the text ended too early


def _toml_reason(message: str) -> str:
    reason = re.sub(r"\s*\(at .*\)$", "", message)
    return reason[:1].lower() + reason[1:]


def _with_choices(path: str, reason: str) -> str:
    """Add the keys or sections there are where a key is not among them."""
    if not reason.startswith("there is no key"):
        return reason
    shape: Any = Settings
    for part in re.findall(r"[^.\[\]]+", path)[:-1]:
        if part.isdigit():
            continue
        hint = next((f.type for f in msgspec.structs.fields(shape) if f.name == part), None)
        shape = next((t for t in (hint, *getattr(hint, "__args__", ())) if hasattr(t, "__struct_fields__")), None)
        if shape is None:
            return reason
    return f"{reason}; there are {', '.join(shape.__struct_fields__)}"


def _price(price: PriceSetting, at: tuple[str, ...]) -> PriceRow:
    return PriceRow(
        at=at, currency=price.currency, input=price.input, output=price.output, cached_input=price.cached_input
    )


def _profile(row: ProfileSection) -> Profile:
    narrowing = Narrowing(only=tuple(map(parse, row.only)), exclude=tuple(map(parse, row.exclude)))
    return Profile(row.name, narrowing, row.budget_usd, row.deadline_s, Effort(row.effort))
