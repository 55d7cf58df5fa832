"""Selectors: the grammar, and what an unknown fact means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import CallerError
from shoal.core.selector import KINDS, Narrowing, parse

FACTS = Endpoint(
    id="acme@kr/law-7b",
    provider="acme",
    native_name="law-7b",
    model=Model(
        id="acme/law",
        developer="Acme Labs",
        developer_country="KR",
        base_model="other/base",
        base_country="CN",
        open_weights=True,
        licence="Apache-2.0",
    ),
    base_url="https://llm.acme.kr/v1",
    host_country="FR",
    operator="Acme Inc.",
    operator_country="US",
)
NOTHING_KNOWN = Endpoint(
    id="x/y", provider="x", native_name="y", model=Model(id="x/y", developer=None), base_url="https://x.example"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("host:FR", True),
        ("host:fr", True),
        ("host:US", False),
        ("host:EU", True),
        ("host:EEA", True),
        ("operator-country:US", True),
        ("operator-country:EU", False),
        ("developer-country:KR", True),
        ("developer-country:CN", True),
        ("developer-country:US", False),
        ("country:FR", True),
        ("country:US", True),
        ("country:CN", True),
        ("country:JP", False),
        ("operator:acme*", True),
        ("developer:acme*labs", True),
        ("developer:acme", False),
        ("provider:ACME", True),
        ("model:acme/*", True),
        ("model:law-7b", True),
        ("endpoint:acme@kr/*", True),
        ("licence:apache-2.0", True),
        ("licence:mit", False),
        ("open-weights", True),
    ],
)
def test_a_selector_reads_the_facts(text: str, found: bool) -> None:
    assert parse(text).matches(FACTS) is found
    assert parse(f"!{text}").matches(FACTS) is not found


@pytest.mark.parametrize(
    "text",
    [
        "host:KR",
        "operator-country:KR",
        "developer-country:KR",
        "country:KR",
        "operator:x",
        "developer:x",
        "licence:mit",
        "open-weights",
    ],
)
def test_an_unknown_fact_is_neither_yes_nor_no(text: str) -> None:
    assert parse(text).matches(NOTHING_KNOWN) is None
    assert parse(f"!{text}").matches(NOTHING_KNOWN) is None


def test_one_known_country_is_enough_for_any_of_the_three() -> None:
    assert parse("country:JP").matches(replace(NOTHING_KNOWN, host_country="JP")) is True
    assert parse("country:JP").matches(replace(NOTHING_KNOWN, host_country="KR")) is None


def test_a_base_model_of_unknown_origin_leaves_the_origin_unknown() -> None:
    model = replace(FACTS.model, base_country=None)
    assert parse("developer-country:CN").matches(replace(FACTS, model=model)) is None
    assert parse("developer-country:KR").matches(replace(FACTS, model=model)) is True


def test_a_parents_country_counts_where_it_is_known() -> None:
    assert parse("operator-country:DE").matches(replace(FACTS, operator_parent="DE")) is True
    model = replace(FACTS.model, developer_parent="DE")
    assert parse("developer-country:DE").matches(replace(FACTS, model=model)) is True


def test_a_region_may_or_may_not_be_its_member() -> None:
    somewhere = replace(FACTS, host_country="EU")
    assert parse("host:EU").matches(somewhere) is True
    assert parse("host:EEA").matches(somewhere) is not False
    assert parse("host:DE").matches(somewhere) is None
    assert parse("host:JP").matches(somewhere) is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "host",
        "host:",
        "host:Korea",
        "host:K1",
        "host:XX",
        "country:UK",
        "operator:acme\u200b",
        "operator:\u00a0acme",
        "host: KR",
        "!!host:KR",
        "open-weights:yes",
        "shape:round",
        "model:a b",
        "model:a\nb",
        "provider:",
        "x" * 201,
        "model:" + "x" * 200,
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(CallerError):
        parse(text)


def test_a_code_that_is_no_country_is_refused_with_the_right_one() -> None:
    with pytest.raises(CallerError, match="write GB"):
        parse("country:UK")


def test_a_refusal_shows_the_grammar() -> None:
    with pytest.raises(CallerError) as caught:
        parse("hots:KR")
    for kind in KINDS:
        assert kind in caught.value.message


def test_a_narrowing_says_which_selector_objects() -> None:
    assert Narrowing(only=(parse("host:FR"),)).objection(FACTS) is None
    assert Narrowing(only=(parse("host:KR"),)).objection(FACTS) == "only host:KR"
    assert Narrowing(exclude=(parse("developer-country:CN"),)).objection(FACTS) == "exclude developer-country:CN"


@pytest.mark.parametrize("text", ["host:KR", "!host:KR"])
def test_a_narrowing_takes_away_what_is_unknown(text: str) -> None:
    assert Narrowing(only=(parse(text),)).objection(NOTHING_KNOWN) == f"only {text}"
    assert Narrowing(exclude=(parse(text),)).objection(NOTHING_KNOWN) == f"exclude {text}"
