"""Endpoints carry what the facts state, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shoal.catalogue.endpoints import Builder
from shoal.catalogue.entries import Bounds, Entry, Stated
from shoal.catalogue.loader import Facts, load_facts
from shoal.catalogue.rows import PriceRow
from shoal.catalogue.snapshot import build_snapshot
from shoal.core.endpoint import Endpoint
from shoal.core.errors import SetupError
from shoal.core.item import Usage


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


def only(facts: Facts, entry: Entry, native: str) -> Endpoint:
    """The one endpoint of that native name."""
    (found,) = [e for e in Builder(facts, instance_country="KR").entry(entry) if e.native_name == native]
    return found


def test_an_address_that_promises_storage_alone_says_nothing_about_processing(facts: Facts) -> None:
    stored = only(facts, Entry("openai", places=("jp",)), "gpt-4o")
    processed = only(facts, Entry("openai", places=("us",)), "gpt-4o")
    assert (stored.host_country, stored.storage_country, stored.region_pinned) == (None, "JP", False)
    assert (processed.host_country, processed.storage_country, processed.region_pinned) == ("US", "US", True)


def test_a_country_without_a_promise_is_unknown(facts: Facts) -> None:
    endpoint = only(facts, Entry("sakana"), "fugu")
    assert endpoint.host_country is None
    assert endpoint.operator_country == "JP"
    assert endpoint.operator == "Sakana AI Co., Ltd. (Sakana AI K.K.)"
    assert endpoint.terms == ("not-available:EU", "not-available:EEA")


def test_an_implied_country_is_marked_as_such(facts: Facts) -> None:
    assert only(facts, Entry("moonshot", places=("cn",)), "kimi-k3").attested == "implied"
    assert only(facts, Entry("deepseek"), "deepseek-flash").attested == "stated"


def test_origin_is_followed_to_the_base_model(facts: Facts) -> None:
    model = only(facts, Entry("openrouter"), "sakana/sakana-namazu").model
    assert (model.developer_country, model.base_country) == ("JP", "CN")


@pytest.mark.parametrize(
    ("provider", "place", "native", "dialect", "auth"),
    [
        ("openai", "eu", "gpt-4o", "openai-chat", "bearer"),
        ("google", "openai-compat", "gemma-4-31b-it", "openai-chat", "header:x-goog-api-key"),
        ("sarvam", "in", "sarvam-30b", "openai-chat", "header:api-subscription-key"),
    ],
)
def test_dialect_and_key_follow_the_place(
    facts: Facts, provider: str, place: str, native: str, dialect: str, auth: str
) -> None:
    endpoint = only(facts, Entry(provider, places=(place,)), native)
    assert (endpoint.dialect, endpoint.auth, endpoint.place) == (dialect, auth, place)


def test_the_catalogue_keeps_endpoints_of_every_dialect(facts: Facts) -> None:
    found = Builder(facts).catalogue(facts.providers["anthropic"])
    assert {endpoint.dialect for endpoint in found} == {"anthropic-messages"}
    assert {endpoint.auth for endpoint in found} == {"x-api-key"}


def test_a_price_holds_where_it_was_quoted_and_nowhere_else(facts: Facts) -> None:
    groq = only(facts, Entry("groq"), "openai/gpt-oss-120b").price
    assert groq is not None and groq.input == Decimal("0.15")
    sakura = only(facts, Entry("sakura-internet", key="SAKURA_TOKEN"), "gpt-oss-120b")
    assert sakura.price is None
    assert only(facts, Entry("ollama", models=("gpt-oss:120b",)), "gpt-oss:120b").price is not None


def test_prices_keep_their_currency_and_their_place(facts: Facts) -> None:
    home = only(facts, Entry("zhipu-bigmodel"), "glm-5.3").price
    abroad = only(facts, Entry("zai"), "glm-5.3").price
    assert home is not None and (home.currency, home.input) == ("CNY", Decimal(8))
    assert abroad is not None and (abroad.currency, abroad.input) == ("USD", Decimal("1.4"))
    assert home.cost_usd(Usage(input=1_000_000)) == Decimal(8) * facts.usd_per_unit["CNY"]


def test_a_price_of_one_release_is_not_that_of_another(facts: Facts) -> None:
    entry = Entry("volcengine-ark", key="ARK_API_KEY")
    priced = only(facts, entry, "doubao-seed-2-1-pro-260628").price
    assert priced is not None and priced.currency == "CNY"
    assert only(facts, entry, "doubao-seed-2-1-pro-260915").price is None


def test_a_regional_address_costs_what_it_says(facts: Facts) -> None:
    regional = only(facts, Entry("mistral", places=("eu",)), "mistral-small-2603").price
    assert regional is not None and regional.input == Decimal("0.15") * Decimal("1.1")


def test_quirks_and_patience_come_from_the_provider(facts: Facts) -> None:
    fugu = only(facts, Entry("sakana"), "fugu")
    assert "long_stream_idle" in fugu.quirks
    assert fugu.limits.gap_s == 7200
    assert only(facts, Entry("openai"), "gpt-4o").limits.gap_s == 30


def test_a_local_server_stands_where_the_instance_does(facts: Facts) -> None:
    endpoint = only(facts, Entry("ollama", models=("gpt-oss:20b",)), "gpt-oss:20b")
    assert endpoint.local and endpoint.auth == "none" and endpoint.key_env is None
    assert endpoint.host_country == endpoint.operator_country == "KR"
    assert endpoint.model.id == "openai/gpt-oss-20b"


def test_a_server_of_ones_own_elsewhere_has_no_known_country(facts: Facts) -> None:
    entry = Entry("vllm", base_url="https://gpu.example/v1", models=("Qwen/Qwen3-32B",), key="VLLM_KEY")
    endpoint = only(facts, entry, "Qwen/Qwen3-32B")
    assert not endpoint.local
    assert endpoint.host_country is None
    assert (endpoint.auth, endpoint.key_env) == ("bearer", "VLLM_KEY")
    assert endpoint.price is None


def test_a_local_model_nobody_knows_has_no_facts(facts: Facts) -> None:
    (endpoint,) = Builder(facts, instance_country="KR").local("ollama", "http://127.0.0.1:9/v1", ["own:latest"])
    assert endpoint.model.developer is None
    assert endpoint.model.developer_country is None
    assert endpoint.model.tools is None


def test_what_the_operator_states_holds_and_is_marked(facts: Facts) -> None:
    entry = Entry(
        "sakana",
        stated=Stated(host_country="JP", transfer_bases=("EU-SCC",)),
        bounds=Bounds(concurrency=2),
        prices={"fugu": PriceRow(at=("sakana",), currency="USD", input=Decimal(9), output=Decimal(9))},
    )
    endpoint = only(facts, entry, "fugu")
    assert (endpoint.host_country, endpoint.attested, endpoint.transfer_bases) == ("JP", "operator", ("EU-SCC",))
    assert endpoint.limits.concurrency == 2 and endpoint.limits.gap_s == 7200
    assert endpoint.price is not None and endpoint.price.input == 9


def test_models_are_chosen_by_native_name_or_catalogue_id(facts: Facts) -> None:
    both = Builder(facts).entry(Entry("deepseek", models=("deepseek/deepseek-flash",)))
    assert {endpoint.native_name for endpoint in both} == {"deepseek-flash", "deepseek-v4-flash"}
    one = Builder(facts).entry(Entry("deepseek", models=("deepseek-v4-flash",)))
    assert [endpoint.native_name for endpoint in one] == ["deepseek-v4-flash"]


def test_a_blank_in_an_address_is_filled(facts: Facts) -> None:
    found = Builder(facts).entry(Entry("cloudflare", variables={"account": "a1"}))
    assert {endpoint.base_url for endpoint in found} == {"https://api.cloudflare.com/client/v4/accounts/a1/ai/v1"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Entry("nobody"), "there is no provider `nobody`"),
        (Entry("anthropic"), "`anthropic` speaks `anthropic-messages`, which this version does not speak yet"),
        (Entry("nec-cotomi"), "`nec-cotomi` speaks `own:nec-genai`"),
        (Entry("kakao"), "the catalogue knows none at `kakao`"),
        (Entry("deepseek", places=("mars",)), "no place `mars` at `deepseek` (cn, beta, anthropic)"),
        (Entry("deepseek", places=("anthropic",)), "is spoken to in `anthropic-messages`"),
        (Entry("deepseek", models=("gpt-4o",)), "`gpt-4o` is not known at `deepseek`"),
        (Entry("spark", places=("classic-v1",)), "none of them is served at the chosen places"),
        (Entry("sakura-internet"), "no customary variable is known for `sakura-internet`"),
        (Entry("cloudflare"), "`variables.account`: the address"),
        (Entry("cloudflare", variables={"account": "a b"}), "has a space or control character"),
        (Entry("vllm"), "list what your server runs"),
        (Entry("groq", base_url="https://elsewhere.example"), "the address of `groq` is a fact"),
        (Entry("vllm", base_url="http://10.0.0.5:8000", models=("m",)), "is plain http"),
    ],
)
def test_an_entry_that_cannot_be_served_is_refused(facts: Facts, entry: Entry, reason: str) -> None:
    with pytest.raises(SetupError) as caught:
        build_snapshot(facts, [entry])
    assert reason in caught.value.message
    assert caught.value.message.startswith("shoal.toml")


def test_plain_http_needs_to_be_said(facts: Facts) -> None:
    entry = Entry("vllm", base_url="http://10.0.0.5:8000/v1", models=("m",), plain_http=True)
    assert only(facts, entry, "m").base_url == "http://10.0.0.5:8000/v1"


def test_everything_holds_each_model_and_every_dialect_once(facts: Facts) -> None:
    found = Builder(facts).everything()
    assert {endpoint.model.id for endpoint in found} == set(facts.models)
    assert len({endpoint.id for endpoint in found}) == len(found)
    assert any(endpoint.dialect == "anthropic-messages" for endpoint in found)
    nowhere = [endpoint for endpoint in found if not endpoint.base_url]
    assert nowhere and all(endpoint.host_country is None for endpoint in nowhere)


def test_a_local_server_that_forwards_a_model_does_not_host_it(facts: Facts) -> None:
    found = Builder(facts, instance_country="KR").local(
        "ollama", "http://127.0.0.1:11434/v1", ["gpt-oss:120b-cloud", "own:cloud", "cloud-own"]
    )
    assert [endpoint.local for endpoint in found] == [False, False, True]
    for endpoint in found[:2]:
        assert (endpoint.host_country, endpoint.operator_country, endpoint.operator) == (None, None, None)
        assert endpoint.price is None
