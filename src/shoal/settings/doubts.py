"""Doubts: settings that hold but probably do not say what was meant.

A selector that names nobody is no error, for the pool may grow; yet a `deny` with a slip in a name forbids nothing,
and an operator has to hear of it. The same goes for what is kept for rules to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from shoal.catalogue.loader import Facts
from shoal.core.selector import Selector, is_like, parse
from shoal.settings.sections import Settings


def doubts(settings: Settings, facts: Facts) -> tuple[str, ...]:
    """Return one sentence for each setting that changes nothing: a name nobody has, a fact no rule reads."""
    known = _known(facts)
    found = []
    for path, text in _selectors(settings):
        selector = parse(text)
        names = known.get(selector.kind)
        if names is None or any(is_like(name.casefold(), selector.value.casefold()) for name in names):
            continue
        found.append(f"`{path}`: `{text}` names nobody in the catalogue{_way_out(selector, names)}")
    stated = [name for name in settings.tenant.__struct_fields__ if getattr(settings.tenant, name) is not None]
    found += [f"`tenant.{name}`: no rule reads it yet; say what is forbidden by `[policy] deny`" for name in stated]
    return tuple(found)


def _selectors(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in ("allow", "deny"):
        for index, text in enumerate(getattr(settings.policy, name)):
            yield f"policy.{name}[{index}]", text
    for number, profile in enumerate(settings.profile):
        for name in ("only", "exclude"):
            for index, text in enumerate(getattr(profile, name)):
                yield f"profile[{number}].{name}[{index}]", text


def _known(facts: Facts) -> dict[str, set[str]]:
    """The names each kind of selector can meet; `endpoint` and countries are left out, for they are open sets."""
    models = facts.models.values()
    return {
        "developer": {row.developer for row in models} | {"practice"},
        "operator": {row.legal_entity or row.name for row in facts.providers.values()} | {"local", "practice"},
        "provider": set(facts.providers) | {"practice"},
        "model": {row.id for row in models} | {via.model for row in models for via in row.via},
        "licence": {row.licence for row in models if row.licence},
    }


def _way_out(selector: Selector, names: set[str]) -> str:
    wanted = selector.value.casefold()
    by_folded = {name.casefold(): name for name in sorted(names)}
    close = [name for folded, name in by_folded.items() if wanted.strip("*") and wanted.strip("*") in folded]
    close += [by_folded[folded] for folded in get_close_matches(wanted, by_folded, n=3)]
    if not close:
        return "; `shoal models --all` lists who is there"
    written = dict.fromkeys(f"`{selector.kind}:{name.replace(' ', '*')}`" for name in close[:3])
    return f"; write {' or '.join(written)}"
