"""Laws of policy: Cedar and the selectors agree, unknown never helps, narrowing and denying only take away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.endpoint import Endpoint, Model
from shoal.core.label import Label
from shoal.core.selector import COUNTRY_KINDS, Narrowing, Selector, parse
from shoal.core.verdict import Action, Effect, Verdict
from shoal.policy.compile import missing
from shoal.policy.policy import Policy
from shoal.policy.rules import Rules

COUNTRIES = ("KR", "US", "DE", "NO", "EU", "EEA")
NAMES = ("acme", "Acme-KI", "a\\b", 'q"x', "naïve", "ﬀ", "a.b/c", "한국", "[x]?", "")
PATTERNS = ("acme", "ACME*", "*a*", "*", "a\\b", "a\\*", 'q"*', "NAÏVE", "ff", "*b/*", "한*", "[x]?", "?cme", "a**e")

country = st.one_of(st.none(), st.sampled_from(COUNTRIES))
name = st.sampled_from(NAMES)
flag = st.one_of(st.none(), st.booleans())
selector = st.one_of(
    st.builds(Selector, st.sampled_from(COUNTRY_KINDS), st.sampled_from(COUNTRIES), st.booleans()),
    st.builds(
        Selector,
        st.sampled_from(("operator", "developer", "provider", "model", "endpoint", "licence")),
        st.sampled_from(PATTERNS),
        st.booleans(),
    ),
    st.builds(Selector, st.just("open-weights"), st.just(""), st.booleans()),
)
model = st.builds(
    Model,
    id=name,
    developer=st.one_of(st.none(), name),
    developer_country=country,
    developer_parent=country,
    base_model=st.one_of(st.none(), name),
    base_country=country,
    open_weights=flag,
    licence=st.one_of(st.none(), name),
    export_hold=st.sampled_from(("none", "none", "none", "all", "allow-list")),
)
endpoint = st.builds(
    Endpoint,
    id=name,
    provider=name,
    native_name=name,
    model=model,
    base_url=st.just("http://127.0.0.1:9"),
    host_country=country,
    operator=st.one_of(st.none(), name),
    operator_country=country,
    operator_parent=country,
    attested=st.sampled_from((None, "operator", "unknown")),
)
selectors = st.lists(selector, max_size=3).map(tuple)
narrowing = st.builds(Narrowing, selectors, selectors)
label = st.builds(Label, personal=st.booleans(), subjects=st.frozensets(st.sampled_from(COUNTRIES), max_size=2))
rules = st.builds(
    Rules,
    allow=selectors.map(lambda found: tuple(map(str, found))),
    deny=selectors.map(lambda found: tuple(map(str, found))),
    default=st.sampled_from(("permit", "deny")),
)
action = st.sampled_from(Action)
MANY = settings(max_examples=150, deadline=None)
BREAKS: list[dict[str, Any]] = [
    {"host_country": 5},
    {"operator": 7},
    {"host_country": "\ud800"},
    {"id": "\udfff"},
    {"retention_days": 2**70},
    {"retention_days": 1.5},
    {"region_pinned": "yes"},
    {"terms": (1,)},
    {"model": None},
    {"transfer_bases": 3},
]


def expected(law: Rules, judged: Endpoint, carried: Label, narrowed: Narrowing, act: Action) -> tuple[bool, set[str]]:
    """Judge plainly, by the selectors alone: whether it is permitted, and every rule that forbids it."""
    against: set[str] = set()
    if act is Action.SEND_REDACTED:
        against.add("redaction-not-available")
    if judged.model.export_hold != "none":
        against.add("export-hold")
    known = judged.host_country and judged.operator_country and judged.attested not in (None, "unknown")
    if carried.personal and not known:
        against.add("unknown-personal")
    allow = [parse(text) for text in law.allow]
    if allow and not any(s.matches(judged) is True for s in allow):
        against.add("allow")
    against |= {f"deny {s}" for s in map(parse, law.deny) if s.matches(judged) is not False}
    if not allow and law.default == "deny" and not against:
        against.add("default")
    against |= {f"only {s}" for s in narrowed.only if s.matches(judged) is not True}
    against |= {f"exclude {s}" for s in narrowed.exclude if s.matches(judged) is not False}
    return not against, against


@MANY
@given(rules, st.lists(endpoint, max_size=6), label, narrowing, action)
def test_cedar_and_the_selectors_give_the_same_verdicts(
    law: Rules, judged: list[Endpoint], carried: Label, narrowed: Narrowing, act: Action
) -> None:
    policy = Policy.compile(law)
    verdicts = policy.judge_all(judged, carried, narrowed, action=act)
    for one, verdict in zip(judged, verdicts, strict=True):
        permitted, against = expected(law, one, carried, narrowed, act)
        assert verdict.is_permit is permitted, verdict
        if not permitted:
            assert set(verdict.rules) == against
        assert verdict.reason and verdict.endpoint == one.id and verdict.action is act
    assert policy.judge_all(judged, carried, narrowed, action=act) == verdicts


@MANY
@given(selector, endpoint)
def test_facts_are_missing_exactly_where_a_selector_cannot_tell(chosen: Selector, judged: Endpoint) -> None:
    facts = missing(chosen, judged)
    assert bool(facts) is (chosen.matches(judged) is None)


@MANY
@given(rules, st.lists(endpoint, min_size=1, max_size=4), st.integers(0, 4), st.sampled_from(BREAKS), label, narrowing)
def test_a_broken_entity_is_forbidden_and_changes_no_other_verdict(
    law: Rules, healthy: list[Endpoint], place: int, broken: dict[str, Any], carried: Label, narrowed: Narrowing
) -> None:
    policy = Policy.compile(law)
    before = policy.judge_all(healthy, carried, narrowed)
    mixed = list(healthy)
    mixed.insert(min(place, len(mixed)), replace(healthy[0], **broken))
    verdicts = list(Policy.compile(law).judge_all(mixed, carried, narrowed))
    odd = verdicts.pop(min(place, len(healthy)))
    assert odd.effect is Effect.FORBID and "engine-error" in odd.rules
    assert tuple(verdicts) == before


@pytest.mark.parametrize("failing", ["from_json_str", "is_authorized_batch"])
@given(rules, st.lists(endpoint, min_size=1, max_size=4), label, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_nothing_yields_a_permit_together_with_an_engine_error(
    failing: str, law: Rules, judged: list[Endpoint], carried: Label, after: int
) -> None:
    import cedarpy

    policy = Policy.compile(law)
    owner: Any = cedarpy.Entities if failing == "from_json_str" else cedarpy
    real, calls = getattr(owner, failing), [0]

    def fails(*given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] >= after:
            raise RuntimeError("the engine fell over")
        return real(*given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, failing, staticmethod(fails) if failing == "from_json_str" else fails)
        verdicts = policy.judge_all(judged, carried)
    for one, verdict in zip(judged, verdicts, strict=True):
        if "engine-error" in verdict.rules:
            assert verdict.effect is Effect.FORBID
        else:
            assert verdict == Policy.compile(law).judge(one, carried)
    assert all("engine-error" not in v.rules for v in policy.judge_all(judged, carried))


@MANY
@given(rules, st.lists(endpoint, max_size=5), label, narrowing, narrowing)
def test_narrowing_only_takes_permits_away(
    law: Rules, judged: list[Endpoint], carried: Label, first: Narrowing, more: Narrowing
) -> None:
    policy = Policy.compile(law)
    both = Narrowing(first.only + more.only, first.exclude + more.exclude)
    assert permitted(policy.judge_all(judged, carried, both)) <= permitted(policy.judge_all(judged, carried, first))


@MANY
@given(rules, st.lists(endpoint, max_size=5), label, selector)
def test_one_more_deny_only_takes_permits_away(
    law: Rules, judged: list[Endpoint], carried: Label, added: Selector
) -> None:
    stricter = replace(law, deny=(*law.deny, str(added)))
    assert permitted(Policy.compile(stricter).judge_all(judged, carried)) <= permitted(
        Policy.compile(law).judge_all(judged, carried)
    )


@MANY
@given(rules, endpoint, label, narrowing, st.data())
def test_forgetting_a_fact_never_turns_a_forbid_into_a_permit(
    law: Rules, judged: Endpoint, carried: Label, narrowed: Narrowing, data: st.DataObject
) -> None:
    # A parent is left alone: none stated means that there is none, as the selectors say.
    forgotten = data.draw(
        st.sampled_from(("host_country", "operator", "operator_country", "attested", "developer_country", "licence"))
    )
    if forgotten in ("developer_country", "licence"):
        unknown = replace(judged, model=replace(judged.model, **{forgotten: None}))  # type: ignore[arg-type]
    else:
        unknown = replace(judged, **{forgotten: None})  # type: ignore[arg-type]
    policy = Policy.compile(law)
    if not policy.judge(judged, carried, narrowed).is_permit:
        assert not policy.judge(unknown, carried, narrowed).is_permit


@MANY
@given(rules, st.lists(endpoint, max_size=5), label)
def test_personal_data_only_takes_permits_away(law: Rules, judged: list[Endpoint], carried: Label) -> None:
    policy = Policy.compile(law)
    personal = carried.join(Label(personal=True))
    assert permitted(policy.judge_all(judged, personal)) <= permitted(policy.judge_all(judged, carried))


def permitted(verdicts: tuple[Verdict, ...]) -> set[int]:
    """The places of the permits."""
    return {place for place, verdict in enumerate(verdicts) if verdict.is_permit}
