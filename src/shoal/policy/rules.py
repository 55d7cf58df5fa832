"""Rules: what an operator wrote under `[policy]`, parsed once.

Knows the three settings and nothing of how they are decided.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.core.errors import CallerError, SetupError
from shoal.core.selector import Selector, parse

DEFAULTS = ("permit", "deny")


@dataclass(frozen=True, slots=True)
class Rules:
    """Selectors as texts: `deny` forbids, a non-empty `allow` is a closed list, `default` speaks where no rule does."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    default: str = "permit"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The same rules with their selectors parsed and repetitions removed."""

    allow: tuple[Selector, ...]
    deny: tuple[Selector, ...]
    permits_by_default: bool


def parsed(rules: Rules) -> Parsed:
    """Return the rules with every selector parsed.

    Raises:
        SetupError: a selector or the default is not in the grammar; the message names the key path.
    """
    if rules.default not in DEFAULTS:
        raise SetupError(f'[policy] default: found `{rules.default}`, expected "permit" or "deny"')
    return Parsed(_selectors("allow", rules.allow), _selectors("deny", rules.deny), rules.default == "permit")


def _selectors(key: str, texts: tuple[str, ...]) -> tuple[Selector, ...]:
    found: dict[str, Selector] = {}
    for number, text in enumerate(texts):
        try:
            selector = parse(text)
            str(selector).encode()
        except CallerError as error:
            raise SetupError(f"[policy] {key}[{number}]: {error.message}") from error
        except UnicodeEncodeError as error:
            raise SetupError(f"[policy] {key}[{number}]: the selector is not valid Unicode") from error
        found.setdefault(str(selector), selector)
    return tuple(found.values())
