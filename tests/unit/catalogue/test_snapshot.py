"""What a model name means in a pool."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from shoal.catalogue.entries import Entry, Profile
from shoal.catalogue.loader import Facts, load_facts
from shoal.catalogue.snapshot import Snapshot, build_snapshot
from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import CallerError, SetupError, UnknownModel
from shoal.core.request import Effort
from shoal.core.selector import Narrowing, parse

PRACTICE = tuple(
    Endpoint(
        id=f"practice/{name}",
        provider="practice",
        native_name=name,
        model=Model(id=f"practice/{name}", developer="practice", developer_country="KR"),
        base_url="http://127.0.0.1:9",
        practice=True,
    )
    for name in ("reader", "writer")
)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


def pool(facts: Facts, *entries: Entry, extra: tuple[Endpoint, ...] = ()) -> Snapshot:
    home = Profile("home", Narrowing(only=(parse("country:KR"),)), Decimal("0.1"), 20.0, Effort.DEEP)
    return build_snapshot(facts, entries, extra, instance_country="KR", profiles=[home])


def ids(snapshot: Snapshot, name: str) -> list[str]:
    return [endpoint.id for endpoint in snapshot.resolve(name).endpoints]


@pytest.mark.parametrize(
    ("name", "effort"), [("shoal", Effort.AUTO), ("shoal-fast", Effort.FAST), ("shoal-deep", Effort.DEEP)]
)
def test_shoals_own_names_mean_everyone(facts: Facts, name: str, effort: Effort) -> None:
    snapshot = pool(facts, Entry("deepseek"), Entry("sakana"))
    selection = snapshot.resolve(name)
    assert selection.endpoints == snapshot.endpoints
    assert (selection.effort, selection.named, selection.profile) == (effort, False, None)


def test_practice_steps_back_for_a_real_endpoint(facts: Facts) -> None:
    assert ids(pool(facts, extra=PRACTICE), "shoal") == ["practice/reader", "practice/writer"]
    both = pool(facts, Entry("sakana", models=("fugu",)), extra=PRACTICE)
    assert ids(both, "shoal-deep") == ["sakana/fugu"]
    assert ids(both, "shoal/practice") == ["practice/reader", "practice/writer"]
    assert ids(both, "practice/reader") == ["practice/reader"]


def test_a_profile_brings_its_narrowing_and_its_budget(facts: Facts) -> None:
    selection = pool(facts, Entry("deepseek")).resolve("shoal/home")
    assert selection.profile == "home"
    assert selection.effort is Effort.DEEP
    assert [str(selector) for selector in selection.narrowing.only] == ["country:KR"]
    assert (selection.budget_usd, selection.deadline_s) == (Decimal("0.1"), 20.0)


def test_a_provider_without_a_place_means_all_its_places(facts: Facts) -> None:
    snapshot = pool(facts, Entry("mistral", places=("eu", "us"), models=("mistral-small-2603",)))
    assert ids(snapshot, "mistral/mistral-small-2603") == [
        "mistral@eu/mistral-small-2603",
        "mistral@us/mistral-small-2603",
    ]
    assert ids(snapshot, "mistral@us/mistral-small-2603") == ["mistral@us/mistral-small-2603"]


def test_a_native_name_may_have_slashes(facts: Facts) -> None:
    snapshot = pool(facts, Entry("openrouter", models=("sakana/fugu-max",)))
    assert ids(snapshot, "openrouter/sakana/fugu-max") == ["openrouter/sakana/fugu-max"]


def test_a_model_means_everyone_who_serves_it(facts: Facts) -> None:
    snapshot = pool(
        facts,
        Entry("groq", models=("openai/gpt-oss-20b",)),
        Entry("ollama", models=("gpt-oss:20b",)),
        Entry("groq", models=("openai/gpt-oss-120b",)),
    )
    assert ids(snapshot, "openai/gpt-oss-20b") == ["groq/openai/gpt-oss-20b", "ollama/gpt-oss:20b"]
    assert snapshot.resolve("openai/gpt-oss-20b").named


def test_two_readings_are_refused_with_both(facts: Facts) -> None:
    snapshot = pool(facts, Entry("sakana"), Entry("openrouter", models=("sakana/fugu-ultra",)))
    with pytest.raises(CallerError) as caught:
        snapshot.resolve("sakana/fugu-ultra")
    readings = caught.value.detail["readings"]
    assert readings["provider"] == ["sakana/fugu-ultra"]
    assert "openrouter/sakana/fugu-ultra" in readings["model"]
    assert "`sakana@global/fugu-ultra` for the first" in caught.value.message
    assert ids(snapshot, "sakana@global/fugu-ultra") == ["sakana/fugu-ultra"]


def test_readings_that_agree_are_no_collision(facts: Facts) -> None:
    assert ids(pool(facts, Entry("deepseek")), "deepseek/deepseek-flash") == ["deepseek@cn/deepseek-flash"]
    assert ids(pool(facts, Entry("openai")), "openai/gpt-4o") == ["openai@global/gpt-4o"]


def test_an_unknown_model_is_answered_with_what_is_close(facts: Facts) -> None:
    snapshot = pool(facts, Entry("openai"))
    with pytest.raises(UnknownModel) as caught:
        snapshot.resolve("gpt-4o")
    assert caught.value.status == 404
    assert "`openai/gpt-4o`" in caught.value.message
    assert caught.value.message.endswith("`shoal models` lists all")
    with pytest.raises(UnknownModel, match="the catalogue has it: `shoal add deepseek`"):
        snapshot.resolve("deepseek/deepseek-flash")


@pytest.mark.parametrize("name", ["shoal/nobody", "shoal-turbo", "shoals", "x/y", "openai@mars/gpt-4o", "/", "openai/"])
def test_a_name_nobody_has_is_unknown(facts: Facts, name: str) -> None:
    with pytest.raises(UnknownModel):
        pool(facts, Entry("openai")).resolve(name)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00", "\ud800"])
def test_a_name_that_is_no_name_is_the_callers_fault(facts: Facts, name: str) -> None:
    with pytest.raises(CallerError, match="printable"):
        pool(facts).resolve(name)


def test_the_version_follows_every_fact(facts: Facts) -> None:
    one, again = pool(facts, Entry("openai")), pool(facts, Entry("openai"))
    assert one.version == again.version
    moved = [replace(one.endpoints[0], host_country="US"), *one.endpoints[1:]]
    same, changed = build_snapshot(facts, (), one.endpoints), build_snapshot(facts, (), moved)
    assert same.version != changed.version


def test_two_endpoints_of_one_name_are_refused(facts: Facts) -> None:
    with pytest.raises(SetupError, match=r"`deepseek@cn/deepseek-v4-pro` is in the pool already"):
        pool(facts, Entry("deepseek"), Entry("deepseek"))
    with pytest.raises(SetupError, match="two endpoints are called `practice/reader`"):
        pool(facts, extra=(PRACTICE[0], PRACTICE[0]))


def test_a_second_local_server_is_named_by_its_port(facts: Facts) -> None:
    snapshot = pool(
        facts,
        Entry("vllm", models=("own",)),
        Entry("vllm", base_url="http://127.0.0.1:8001/v1", models=("own",)),
    )
    assert [endpoint.id for endpoint in snapshot.endpoints] == ["vllm/own", "vllm@8001/own"]
    assert ids(snapshot, "vllm/own") == ["vllm/own", "vllm@8001/own"]


def test_every_endpoint_of_the_catalogue_is_found_by_its_own_id(facts: Facts) -> None:
    speaking = [p for p in facts.providers.values() if facts.served.get(p.id) and p.kind != "local"]
    entries = []
    for provider in speaking:
        entry = Entry(provider.id, key="SOME_KEY", variables={"account": "a"})
        try:
            build_snapshot(facts, [entry])
        except SetupError as error:
            assert "does not speak" in error.message
            continue
        entries.append(entry)
    snapshot = build_snapshot(facts, entries)
    assert len(snapshot.endpoints) > 60
    for endpoint in snapshot.endpoints:
        exact = f"{endpoint.provider}@{endpoint.place}/{endpoint.native_name}"
        assert ids(snapshot, exact) == [endpoint.id]
