"""Laws of selectors: what is written is what is read, negation mirrors, unknown stays unknown."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import CallerError
from shoal.core.selector import COUNTRY_KINDS, FLAG_KINDS, MAX_LENGTH, NAME_KINDS, Narrowing, Selector, parse

COUNTRIES = st.sampled_from(["KR", "JP", "CN", "US", "FR", "DE", "NO", "EU", "EEA"])
NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF).filter(lambda c: c.isprintable() and not c.isspace()),
    min_size=1,
    max_size=40,
)
WORDS = st.sampled_from(["acme", "Acme", "acme/law", "x", "a*", "*", "apache-2.0", "MIT"])
SELECTORS = st.one_of(
    st.builds(Selector, st.sampled_from(COUNTRY_KINDS), COUNTRIES, st.booleans()),
    st.builds(Selector, st.sampled_from(NAME_KINDS), st.one_of(WORDS, NAMES), st.booleans()),
    st.builds(Selector, st.sampled_from(FLAG_KINDS), st.just(""), st.booleans()),
)
MAYBE_COUNTRY = st.none() | COUNTRIES
MODELS = st.builds(
    Model,
    id=st.sampled_from(["acme/law", "x/y"]),
    developer=st.none() | st.sampled_from(["acme", "x"]),
    developer_country=MAYBE_COUNTRY,
    developer_parent=MAYBE_COUNTRY,
    base_model=st.none() | st.just("x/base"),
    base_country=MAYBE_COUNTRY,
    open_weights=st.none() | st.booleans(),
    licence=st.none() | st.sampled_from(["apache-2.0", "mit"]),
)
ENDPOINTS = st.builds(
    Endpoint,
    id=st.sampled_from(["acme/law", "x@kr/y"]),
    provider=st.sampled_from(["acme", "x"]),
    native_name=st.sampled_from(["law", "y"]),
    model=MODELS,
    base_url=st.just("https://x.example"),
    host_country=MAYBE_COUNTRY,
    operator=st.none() | st.sampled_from(["acme", "x"]),
    operator_country=MAYBE_COUNTRY,
    operator_parent=MAYBE_COUNTRY,
)
NARROWINGS = st.builds(
    Narrowing, st.lists(SELECTORS, max_size=3).map(tuple), st.lists(SELECTORS, max_size=3).map(tuple)
)


@given(SELECTORS)
def test_what_is_written_is_what_is_read(selector: Selector) -> None:
    assert parse(str(selector)) == selector


@given(st.text(max_size=MAX_LENGTH + 10))
def test_any_text_is_a_selector_or_the_callers_error(text: str) -> None:
    try:
        selector = parse(text)
    except CallerError:
        return
    assert parse(str(selector)) == selector


@given(SELECTORS, ENDPOINTS)
def test_negation_mirrors_and_keeps_the_unknown(selector: Selector, endpoint: Endpoint) -> None:
    plain = selector.matches(endpoint)
    negated = Selector(selector.kind, selector.value, not selector.negated).matches(endpoint)
    assert negated is (None if plain is None else not plain)


@given(COUNTRIES, ENDPOINTS)
def test_country_is_any_of_the_three(country: str, endpoint: Endpoint) -> None:
    three = [Selector(kind, country).matches(endpoint) for kind in ("host", "operator-country", "developer-country")]
    expected = True if True in three else None if None in three else False
    assert Selector("country", country).matches(endpoint) is expected


@given(SELECTORS, ENDPOINTS)
def test_learning_a_fact_never_turns_a_yes_into_a_no_or_back(selector: Selector, endpoint: Endpoint) -> None:
    known = selector.matches(endpoint)
    if endpoint.host_country is None and known is not None:
        for country in ("KR", "FR", "EU"):
            assert selector.matches(replace(endpoint, host_country=country)) is known


@given(NARROWINGS, NARROWINGS, st.lists(ENDPOINTS, max_size=5))
def test_narrowing_only_narrows(one: Narrowing, other: Narrowing, endpoints: list[Endpoint]) -> None:
    both = Narrowing(one.only + other.only, one.exclude + other.exclude)
    left = [endpoint for endpoint in endpoints if both.objection(endpoint) is None]
    assert left == [e for e in endpoints if one.objection(e) is None and other.objection(e) is None]


@given(SELECTORS, ENDPOINTS)
def test_only_and_exclude_never_both_keep_an_endpoint(selector: Selector, endpoint: Endpoint) -> None:
    kept = Narrowing(only=(selector,)).objection(endpoint) is None
    spared = Narrowing(exclude=(selector,)).objection(endpoint) is None
    assert not (kept and spared)
    assert (kept or spared) is (selector.matches(endpoint) is not None)
