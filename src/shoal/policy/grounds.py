"""Grounds: which facts a refusal missed, and one sentence for a person that names the way out.

Knows rule ids and selectors, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shoal.core.endpoint import Endpoint
from shoal.core.selector import Narrowing, Selector
from shoal.core.verdict import Effect
from shoal.policy.compile import (
    ALLOW,
    DEFAULT,
    ENGINE_ERROR,
    EXPORT_HOLD,
    REDACTION,
    UNKNOWN_PERSONAL,
    missing,
)

WAYS_OUT = {
    ALLOW: "no selector of `allow` surely matches it; edit [policy] in shoal.toml",
    DEFAULT: 'no rule speaks of it and the default is "deny"; edit [policy] in shoal.toml',
    ENGINE_ERROR: "its facts could not be judged; `shoal doctor` shows them",
    EXPORT_HOLD: "its model is under an export hold; choose another model",
    REDACTION: "redaction does not exist yet; send the text only where it may go as it is",
    UNKNOWN_PERSONAL: "the text holds personal data and not every fact is known; state the facts in shoal.toml",
}


def objections(endpoint: Endpoint, narrowing: Narrowing) -> tuple[tuple[str, Selector], ...]:
    """Return every selector of the request that takes the endpoint away; unknown facts take away."""
    only = [(f"only {s}", s) for s in narrowing.only if s.matches(endpoint) is not True]
    exclude = [(f"exclude {s}", s) for s in narrowing.exclude if s.matches(endpoint) is not False]
    return (*only, *exclude)


def missing_facts(endpoint: Endpoint, rules: Iterable[str], selectors: Iterable[Selector]) -> tuple[str, ...]:
    """Return the facts that the deciding rules read and did not find, each once."""
    facts: dict[str, None] = {}
    if UNKNOWN_PERSONAL in rules:
        for name in ("host_country", "operator_country", "attested"):
            if getattr(endpoint, name) in (None, "unknown"):
                facts[name] = None
    for selector in selectors:
        facts |= dict.fromkeys(missing(selector, endpoint))
    return tuple(facts)


def reason(effect: Effect, rules: Sequence[str], facts: Sequence[str], error: str | None = None) -> str:
    """Return one sentence: the first deciding rule, what it missed, and what would change the verdict."""
    if effect is Effect.PERMIT:
        return f"permitted by `{'`, `'.join(rules)}`"
    first, more = rules[0], len(rules) - 1
    if first in WAYS_OUT:
        way_out = WAYS_OUT[first]
    elif first.startswith(("only ", "exclude ")):
        way_out = "ask without it"
    else:
        way_out = "edit [policy] in shoal.toml"
    who = "the request's" if first.startswith(("only ", "exclude ")) else "policy rule"
    unknown = f", unknown: {', '.join(f'`{fact}`' for fact in facts)}" if facts else ""
    others = f" and {more} more" if more else ""
    cause = f" ({error})" if error else ""
    return f"{who} `{first}`{others} forbids it{unknown}{cause}; {way_out}"
