"""The compiler: rules by selectors become Cedar text that an auditor can read and run elsewhere.

A selector is three-valued, Cedar is two-valued, so each selector has two readings: `surely` (it matches whatever the
unknown facts may be) and `possibly` (it does not surely fail). Forbidding asks `possibly`, allowing asks `surely`;
that is how a rule that reads an absent fact forbids while a rule that does not read it stays silent. The readings
agree with `core.selector` on every endpoint, which a property test holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from shoal.core.endpoint import Endpoint
from shoal.core.selector import UNIONS, Selector
from shoal.policy.rules import Parsed

ALLOW, DEFAULT, ENGINE_ERROR = "allow", "default", "engine-error"
UNKNOWN_PERSONAL, REDACTION, EXPORT_HOLD = "unknown-personal", "redaction-not-available", "export-hold"
LABEL_FACTS = ("personal",)  # what the rules below read of a label; verdicts are remembered by these alone

NAMES: Mapping[str, tuple[str, ...]] = {
    "operator": ("operator",),
    "developer": ("developer",),
    "provider": ("provider",),
    "model": ("model", "native_name"),
    "endpoint": ("endpoint",),
    "licence": ("licence",),
}

ALWAYS = f"""
@id("{ENGINE_ERROR}") @reason("the endpoint could not be read")
forbid (principal, action, resource) unless {{ resource has is_known && resource.is_known }};

@id("{REDACTION}") @reason("redaction does not exist yet")
forbid (principal, action == Action::"send_redacted", resource);

@id("{EXPORT_HOLD}") @reason("the model is under an export hold")
forbid (principal, action, resource) unless {{ resource has export_hold && resource.export_hold == "none" }};

@id("{UNKNOWN_PERSONAL}") @reason("personal data goes only where host, operator and the source of the facts are known")
forbid (principal, action, resource) when {{ context.personal }} unless {{
  resource has host_country && resource has operator_country
  && resource has attested && resource.attested != "unknown"
}};
"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Cedar text, the ids of its rules in their order, the selectors behind them, and a version of it all."""

    text: str
    order: tuple[str, ...]
    selectors: Mapping[str, tuple[Selector, ...]]
    version: str


def compiled(rules: Parsed, schema: str) -> Compiled:
    """Return the Cedar text of the rules; the same rules and schema always have the same version."""
    parts = [ALWAYS.strip()]
    selectors: dict[str, tuple[Selector, ...]] = {}
    if rules.allow:
        for selector in rules.allow:
            parts.append(_rule(f"allow {selector}", "permit", surely(selector)))
            selectors[f"allow {selector}"] = (selector,)
        parts.append(_rule(ALLOW, "forbid", "!(" + " || ".join(f"({surely(s)})" for s in rules.allow) + ")"))
        selectors[ALLOW] = rules.allow
    elif rules.permits_by_default:
        parts.append(f'@id("{DEFAULT}")\npermit (principal, action, resource);')
    for selector in rules.deny:
        parts.append(_rule(f"deny {selector}", "forbid", possibly(selector)))
        selectors[f"deny {selector}"] = (selector,)
    text = "\n\n".join(parts) + "\n"
    order = (ENGINE_ERROR, REDACTION, EXPORT_HOLD, UNKNOWN_PERSONAL, *selectors, DEFAULT)
    version = hashlib.sha256(f"{text}\0{schema}".encode()).hexdigest()[:16]
    return Compiled(text, order, selectors, version)


def surely(selector: Selector) -> str:
    """Return the Cedar expression that is true where the selector matches whatever is unknown."""
    return _negated(_possibly(selector)) if selector.negated else _surely(selector)


def possibly(selector: Selector) -> str:
    """Return the Cedar expression that is true where the selector matches or a fact it reads is unknown."""
    return _negated(_surely(selector)) if selector.negated else _possibly(selector)


def missing(selector: Selector, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the facts that keep the selector from being decided on this endpoint; empty where it is decided."""
    if selector.matches(endpoint) is not None:
        return ()
    model = endpoint.model
    unknown = {
        "host_country": _is_open(endpoint.host_country, selector.value),
        "operator_country": _is_open(endpoint.operator_country, selector.value),
        "operator_parent": endpoint.operator_parent is not None and _is_open(endpoint.operator_parent, selector.value),
        "developer_country": _is_open(model.developer_country, selector.value),
        "developer_parent": model.developer_parent is not None and _is_open(model.developer_parent, selector.value),
        "base_country": (model.base_model is not None or model.base_country is not None)
        and _is_open(model.base_country, selector.value),
        "operator": endpoint.operator is None,
        "developer": model.developer is None,
        "licence": model.licence is None,
        "open_weights": model.open_weights is None,
    }
    read = {
        "host": ("host_country",),
        "operator-country": ("operator_country", "operator_parent"),
        "developer-country": ("developer_country", "developer_parent", "base_country"),
        "country": tuple(name for name in unknown if "country" in name or "parent" in name),
        "open-weights": ("open_weights",),
    }
    return tuple(name for name in read.get(selector.kind, (selector.kind,)) if unknown.get(name))


def _is_open(fact: str | None, wanted: str) -> bool:
    """Whether a country is unknown, or a region that may or may not be the one asked for."""
    return fact is None or fact in _regions(wanted)


def _rule(rule: str, effect: str, condition: str) -> str:
    return f"@id({_quoted(rule)})\n{effect} (principal, action, resource) when {{ {condition} }};"


def _negated(expression: str) -> str:
    return f"!({expression})"


def _surely(selector: Selector) -> str:
    """The positive form, certain: an unknown fact makes its part false."""
    value = selector.value
    match selector.kind:
        case "host":
            return _known("host_country", _within(value))
        case "operator-country":
            return f"{_known('operator_country', _within(value))} || {_known('operator_parent', _within(value))}"
        case "developer-country":
            facts = ("developer_country", "developer_parent", "base_country")
            return " || ".join(_known(fact, _within(value)) for fact in facts)
        case "country":
            kinds = ("host", "operator-country", "developer-country")
            return " || ".join(_surely(Selector(kind, value)) for kind in kinds)
        case "open-weights":
            return "(resource has open_weights && resource.open_weights)"
        case kind:
            return " || ".join(f"(resource has {n} && resource.{n} like {_glob(value)})" for n in NAMES[kind])


def _possibly(selector: Selector) -> str:
    """The positive form, possible: an unknown fact makes its part true."""
    value = selector.value
    near = _within(value) | _regions(value)
    match selector.kind:
        case "host":
            return _open("host_country", near)
        case "operator-country":
            return f"{_open('operator_country', near)} || {_known('operator_parent', near)}"
        case "developer-country":
            base = f"((resource has base_model || resource has base_country) && {_open('base_country', near)})"
            return f"{_open('developer_country', near)} || {_known('developer_parent', near)} || {base}"
        case "country":
            kinds = ("host", "operator-country", "developer-country")
            return " || ".join(_possibly(Selector(kind, value)) for kind in kinds)
        case "open-weights":
            return "(if resource has open_weights then resource.open_weights else true)"
        case kind:
            return " || ".join(
                f"(if resource has {n} then resource.{n} like {_glob(value)} else true)" for n in NAMES[kind]
            )


def _within(wanted: str) -> frozenset[str]:
    """The values of a country fact that lie in `wanted` for sure."""
    members = UNIONS.get(wanted, frozenset())
    return frozenset({wanted}) | members | {u for u, inside in UNIONS.items() if members and inside <= members}


def _regions(wanted: str) -> frozenset[str]:
    """The regions of which only a part lies in `wanted`."""
    members = UNIONS.get(wanted, frozenset({wanted}))
    return frozenset(u for u, inside in UNIONS.items() if inside & members and not inside <= members)


def _known(fact: str, values: frozenset[str]) -> str:
    return f"(resource has {fact} && {_listed(values)}.contains(resource.{fact}))"


def _open(fact: str, values: frozenset[str]) -> str:
    # Cedar's type checker refuses `!(resource has x) || resource.x == ...`; this says the same.
    return f"(if resource has {fact} then {_listed(values)}.contains(resource.{fact}) else true)"


def _listed(values: frozenset[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in sorted(values)) + "]"


def _quoted(text: str) -> str:
    """Return a Cedar string literal."""
    safe = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\u{{{ord(c):x}}}" for c in text)
    return f'"{safe}"'


def _glob(pattern: str) -> str:
    """Return a folded name pattern; `*` stays Cedar's wildcard."""
    return _quoted(pattern.casefold())
