"""The shipped facts are the catalogue we were given, field by field, and nothing of it is lost."""

from __future__ import annotations

import os
import re
import time
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shoal.catalogue.endpoints import Builder
from shoal.catalogue.loader import Facts, load_facts
from shoal.catalogue.rows import AlsoWire, Auth, ModelRow, PriceRow, ProviderRow

ROOT = Path(__file__).parents[3]
GIVEN = Path(os.environ.get("SHOAL_TEST_CATALOGUE", ROOT.parent / "shared" / "catalogue" / "facts.toml"))

SAME_PROVIDER_KEYS = (
    "id name kind home_country legal_entity wire restriction_evidence evidence as_of stateful env alt_env quirks "
    "not_available_in source residency_choice regulatory export_events also_hosted documented_params extra_params "
    "routes"
).split()
RENAMED = {"gov_restrictions": "government_restrictions", "models_2025_09": "listed_models"}
PROVIDER_NOTES = {
    "wire_notes": "wire",
    "data_flow": "data_flow",
    "user_duties": "user_duties",
    "restriction_note": "restriction",
    "free_plan": "free_plan",
    "residency_note": "residency",
    "residency": "residency",
    "hosted_countries_note": "hosted",
    "workspace_hosts": "workspace_hosts",
    "retention": "retention",
    "trains_on_data": "training",
    "key_shape": "key_shape",
    "legacy_wire": "legacy_wire",
    "signup": "signup",
    "error_shape": "error_shape",
    "reasoning_note": "reasoning",
    "toggle": "toggle",
    "note": "general",
    "ownership_rule": "ownership_rule",
}
MODEL_NOTES = {
    "note": "general",
    "price_note": "price",
    "context_note": "context",
    "lineage_note": "lineage",
    "licence_limits": "licence_limits",
    "licence_note": "licence",
    "retention_note": "retention",
    "wire_note": "wire",
    "max_output_note": "max_output",
    "architecture": "architecture",
    "purpose": "purpose",
    "prompt_format": "prompt_format",
    "serve_args": "serve_args",
    "extra": "extra",
    "rate_limit": "rate_limit",
}
AUTH = {
    "none by default": ("none", None),
    "x-api-key: <key> + anthropic-version": ("header", "x-api-key"),
    "x-goog-api-key: <key>": ("header", "x-goog-api-key"),
    "api-subscription-key: <key> (or Authorization: Bearer)": ("header", "api-subscription-key"),
    "Authorization: <inference key>": ("header", "authorization"),
    "IAM bearer token": ("bearer", None),
}


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


@pytest.fixture(scope="module")
def given() -> Mapping[str, Any]:
    if not GIVEN.is_file():
        pytest.skip(f"no catalogue to compare with at {GIVEN}")
    return tomllib.loads(GIVEN.read_text(encoding="utf-8"), parse_float=Decimal)


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_every_row_is_there(facts: Facts) -> None:
    assert len(facts.providers) == 58
    assert sum(len(provider.place) for provider in facts.providers.values()) == 87
    assert len(facts.models) == 115
    assert len(facts.quirks) == 36


def test_providers_say_what_was_given(facts: Facts, given: Mapping[str, Any]) -> None:
    assert set(facts.providers) == {row["id"] for row in given["provider"]}
    for row in given["provider"]:
        ours = facts.providers[row["id"]]
        for key, value in row.items():
            assert_provider_key(ours, key, value)
        stated = {"auth" if key == "auth_header" else RENAMED.get(key, key) for key in row}
        for key in (*SAME_PROVIDER_KEYS, *RENAMED.values(), "auth"):
            if key not in stated:
                assert not getattr(ours, key), f"{ours.id}.{key} was never stated"


def assert_provider_key(ours: ProviderRow, key: str, value: Any) -> None:
    where = f"{ours.id}.{key}"
    if key in SAME_PROVIDER_KEYS:
        assert plain(getattr(ours, key)) == value, where
    elif key in RENAMED:
        assert plain(getattr(ours, RENAMED[key])) == value, where
    elif key in PROVIDER_NOTES:
        assert ours.notes[PROVIDER_NOTES[key]] == value, where
    elif key == "auth_note":
        assert ours.auth is not None and ours.auth.note == value, where
    elif key == "auth_header":
        expected = AUTH.get(value, ("bearer", None))
        assert value in AUTH or value.startswith("Authorization: Bearer"), where
        assert ours.auth is not None and (ours.auth.scheme, ours.auth.header) == expected, where
    elif key == "also_wires":
        assert [also.wire for also in ours.also_wires] == [text.partition(" ")[0] for text in value], where
    else:
        assert key == "endpoint", f"{where} is compared nowhere"


def test_places_say_what_was_given(facts: Facts, given: Mapping[str, Any]) -> None:
    for row in given["provider"]:
        ours = facts.providers[row["id"]].place
        assert [place.id for place in ours] == [place["id"] for place in row.get("endpoint", [])]
        for place, wanted in zip(ours, row.get("endpoint", []), strict=True):
            for key in ("base_url", "country", "country_basis", "wire", "note"):
                assert getattr(place, key) == wanted.get(key), f"{row['id']}@{place.id}.{key}"
            assert set(wanted) <= {"id", "base_url", "country", "country_basis", "wire", "note"}


def test_models_say_what_was_given(facts: Facts, given: Mapping[str, Any]) -> None:
    assert set(facts.models) == {row["id"] for row in given["model"]}
    for row in given["model"]:
        ours = facts.models[row["id"]]
        for key, value in row.items():
            assert_model_key(ours, key, value)
        for key in ModelRow.__struct_fields__:
            if key not in row and key not in (
                "kind",
                "export_hold",
                "notes",
                "licence_flags",
                "sub_processors",
                "price",
            ):
                assert not getattr(ours, key), f"{ours.id}.{key} was never stated"


def assert_model_key(ours: ModelRow, key: str, value: Any) -> None:
    where = f"{ours.id}.{key}"
    if key in MODEL_NOTES:
        assert ours.notes[MODEL_NOTES[key]] == value, where
    elif key == "via":
        assert [{"provider": via.provider, "model": via.model} for via in ours.via] == value, where
    elif key == "price":
        assert_price(ours, value)
    elif key == "languages":
        codes = [code for code in value if re.fullmatch("[a-z]{2}", code)]
        assert set(codes) <= set(ours.languages), where
        assert len(codes) == len(value) or "languages" in ours.notes, where
    elif key == "sub_processors_named":
        assert plain(ours.sub_processors) == value, where
    elif isinstance(value, Decimal):
        assert getattr(ours, key) == float(value), where
    else:
        assert plain(getattr(ours, key)) == value, where


def assert_price(ours: ModelRow, value: Mapping[str, Any]) -> None:
    first = ours.price[0]
    assert first.currency == value["currency"], ours.id
    for key in ("input", "output", "cached_input"):
        wanted = value.get(key)
        assert getattr(first, key) == (None if wanted is None else Decimal(wanted)), f"{ours.id}.price.{key}"
    said = {str(number) for number in numbers(ours)}
    for number in re.findall(r"\d+\.\d+", re.sub(r"\d{4}-\d{2}(-\d{2})?|models\.dev", "", value.get("note", ""))):
        assert number in said, f"{ours.id}: the price {number} of its note is lost"


def numbers(row: ModelRow) -> list[Decimal | int | None]:
    found: list[Decimal | int | None] = []
    for price in row.price:
        found += [price.input, price.output, price.cached_input]
        for tier in price.tier:
            found += [tier.input, tier.output, tier.cached_input]
        if price.off_peak:
            found += [price.off_peak.input, price.off_peak.output, price.off_peak.cached_input]
    return found


def test_quirks_keep_their_evidence(facts: Facts, given: Mapping[str, Any]) -> None:
    assert set(facts.quirks) == {row["id"] for row in given["quirk"]}
    for row in given["quirk"]:
        ours = facts.quirks[row["id"]]
        assert plain(ours.seen_at) == row["seen_at"]
        assert plain(ours.source) == row["source"]
        assert ours.what and ours.action


@pytest.mark.parametrize(
    ("model", "above", "input", "output", "cached"),
    [
        ("sakana/fugu-ultra", 272_000, "10", "45", "1"),
        ("anthropic/claude-haiku-5-5", 100_000, "0.5", "2.5", "0.05"),
        ("openai/gpt-6.1-sol", 272_000, "4", "15", "0.2"),
        ("minimax/minimax-m3", 512_000, "0.6", "2.4", "0.12"),
        ("bytedance/seed-2.0-lite", 128_000, "0.5", "4", None),
    ],
)
def test_prices_of_long_prompts_are_numbers(
    facts: Facts, model: str, above: int, input: str, output: str, cached: str | None
) -> None:
    (tier,) = facts.models[model].price[0].tier
    assert (tier.above_input_tokens, tier.input, tier.output) == (above, Decimal(input), Decimal(output))
    assert tier.cached_input == (None if cached is None else Decimal(cached))


def test_unknown_is_never_false(facts: Facts) -> None:
    for row in facts.models.values():
        assert row.tools is not False and row.reasoning is not False
        if row.price:
            assert all(isinstance(price, PriceRow) and price.at for price in row.price)
    for provider in facts.providers.values():
        assert provider.auth is None or isinstance(provider.auth, Auth)
        assert all(isinstance(also, AlsoWire) for also in provider.also_wires)


def test_ratings_are_rounded_and_uncertain(facts: Facts) -> None:
    assert len(facts.ratings) == 16
    for values in facts.ratings.values():
        for rating in values.values():
            assert rating.value % 5 == 0
            assert rating.high - rating.value == rating.value - rating.low == 15


def test_every_fact_loads_quickly() -> None:
    best = min(timed() for _ in range(5))
    assert best < 0.6, f"loading took {best:.3f} s; measured 0.05 s on two idle cores"


def timed() -> float:
    start = time.perf_counter()
    facts = load_facts()
    builder = Builder(facts)
    assert sum(len(builder.catalogue(provider)) for provider in facts.providers.values()) > 200
    return time.perf_counter() - start
