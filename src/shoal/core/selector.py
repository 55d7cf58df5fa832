"""Selectors: the one grammar by which flags, bodies, headers, settings and drill files name endpoints.

    host:US  operator-country:US  developer-country:CN  country:US  operator:X  developer:X  provider:X
    model:anthropic/claude-fable-*  endpoint:X  licence:apache-2.0  open-weights      `!` negates

Matching is three-valued: `None` says that a fact the selector reads is unknown. Who asks decides what that means;
where law is concerned it means forbidden.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shoal.core.country import COUNTRIES, MISTAKEN
from shoal.core.endpoint import Endpoint
from shoal.core.errors import CallerError

COUNTRY_KINDS = ("host", "operator-country", "developer-country", "country")
NAME_KINDS = ("operator", "developer", "provider", "model", "endpoint", "licence")
FLAG_KINDS = ("open-weights",)
KINDS = COUNTRY_KINDS + NAME_KINDS + FLAG_KINDS
MAX_LENGTH = 200
_NAME = re.compile(r"[^\x00-\x20\x7f]+")
UNIONS = {"EU": frozenset("AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split())}
UNIONS["EEA"] = UNIONS["EU"] | {"IS", "LI", "NO"}


@dataclass(frozen=True, slots=True)
class Selector:
    """One parsed selector."""

    kind: str
    value: str
    negated: bool = False

    def __str__(self) -> str:
        body = self.kind if self.kind in FLAG_KINDS else f"{self.kind}:{self.value}"
        return f"!{body}" if self.negated else body

    def matches(self, endpoint: Endpoint) -> bool | None:
        """Return whether the endpoint is selected, or None where a fact needed to tell is unknown."""
        found = self._matches(endpoint)
        return found if found is None or not self.negated else not found

    def _matches(self, endpoint: Endpoint) -> bool | None:
        match self.kind:
            case "host":
                return _is_country(endpoint.host_country, self.value)
            case "operator-country":
                return _any(
                    _is_country(endpoint.operator_country, self.value),
                    False if endpoint.operator_parent is None else _is_country(endpoint.operator_parent, self.value),
                )
            case "developer-country":
                return developed_in(endpoint, self.value)
            case "country":
                return _any(
                    _is_country(endpoint.host_country, self.value),
                    Selector("operator-country", self.value)._matches(endpoint),
                    developed_in(endpoint, self.value),
                )
            case "operator":
                return _is_named(endpoint.operator, self.value)
            case "developer":
                return _is_named(endpoint.model.developer, self.value)
            case "provider":
                return _is_named(endpoint.provider, self.value)
            case "model":
                return _any(_is_named(endpoint.model.id, self.value), _is_named(endpoint.native_name, self.value))
            case "endpoint":
                return _is_named(endpoint.id, self.value)
            case "licence":
                return _is_named(endpoint.model.licence, self.value)
            case _:
                return endpoint.model.open_weights


def developed_in(endpoint: Endpoint, country: str) -> bool | None:
    """Return whether the model, its developer's parent or the model it was made from comes from `country`."""
    model = endpoint.model
    found = [_is_country(model.developer_country, country)]
    if model.developer_parent is not None:
        found.append(_is_country(model.developer_parent, country))
    if model.base_model is not None or model.base_country is not None:
        found.append(_is_country(model.base_country, country))
    return _any(*found)


def _any(*found: bool | None) -> bool | None:
    """Three-valued OR: one True is enough, otherwise one unknown leaves the answer unknown."""
    if any(found):
        return True
    return None if None in found else False


def _is_country(fact: str | None, wanted: str) -> bool | None:
    if fact is None:
        return None
    if fact == wanted:
        return True
    inside = UNIONS.get(fact)
    if inside is None:
        return fact in UNIONS.get(wanted, ())
    target = UNIONS.get(wanted, frozenset({wanted}))
    if inside <= target:
        return True
    return None if inside & target else False  # a region such as EU may or may not be the member asked for


def _is_named(fact: str | None, pattern: str) -> bool | None:
    return None if fact is None else is_like(fact.casefold(), pattern.casefold())


def is_like(text: str, pattern: str) -> bool:
    """Return whether a text fits a pattern in which `*` stands for any run of characters and nothing else is special.

    Parts are found from left to right, each as early as possible, so the time is linear whatever a client writes.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    last = rest.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in rest:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def parse(text: str) -> Selector:
    """Return the selector a text stands for.

    Raises:
        CallerError: the text is not in the grammar; the message shows the grammar.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise CallerError(f"a selector is a text of at most {MAX_LENGTH} characters")
    negated = text.startswith("!")
    kind, colon, value = text.removeprefix("!").partition(":")
    kind = kind.casefold()
    if kind in FLAG_KINDS and not colon:
        return Selector(kind, "", negated)
    if kind in FLAG_KINDS or kind not in KINDS or not value:
        raise CallerError(
            f"`{text}` is not a selector; write one of {', '.join(f'{k}:...' for k in KINDS[:-1])}, open-weights, "
            "with `!` in front to negate"
        )
    if kind in COUNTRY_KINDS:
        value = value.upper()
        if value not in UNIONS and value not in COUNTRIES:  # a slip here would exclude nobody, without a word
            way_out = f"; write {MISTAKEN[value]}" if value in MISTAKEN else ""
            raise CallerError(
                f"`{text}`: a country is two letters of ISO 3166 such as KR (or EU, EEA), found `{value}`{way_out}"
            )
    elif not _NAME.fullmatch(value) or not value.isprintable():
        raise CallerError(f"`{text}`: a name has no spaces, control or invisible characters")
    return Selector(kind, value, negated)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a request allows itself: it can take candidates away, never add one."""

    only: tuple[Selector, ...] = ()
    exclude: tuple[Selector, ...] = ()

    def objection(self, endpoint: Endpoint) -> str | None:
        """Return which selector takes the endpoint away, or None. Unknown facts take away."""
        for selector in self.only:
            if selector.matches(endpoint) is not True:
                return f"only {selector}"
        for selector in self.exclude:
            if selector.matches(endpoint) is not False:
                return f"exclude {selector}"
        return None
