"""Every provider that speaks the chat dialect passes one suite against its twin; without a handler, none does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from shoal.catalogue.loader import load_facts
from shoal.simulation.strict.conformance import endpoints_of, providers, run
from shoal.simulation.strict.scenarios import SCENARIOS
from shoal.simulation.strict.twin import load_twins
from shoal.wire.chat_quirks import ELSEWHERE, OTHER_DIALECTS, QUIRKS
from shoal.wire.openai_chat import OpenAIChat

DIALECT = OpenAIChat()

SEEN_BY: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "max_tokens_only": ("moonshot", "limit_in_extra"),
        "max_completion_tokens_only": ("openai", "limit"),
        "reasoning_content_out": ("deepseek", "reasoning_on"),
        "reasoning_field_out": ("stepfun", "reasoning_on"),
        "think_tags_in_content": ("minimax", "reasoning_on"),
        "thinking_blocks_in_content": ("mistral", "answers"),
        "reasoning_echo_required": ("deepseek", "tool_round_trip"),
        "thinking_object_toggle": ("zai", "reasoning_off"),
        "enable_thinking_flag": ("alibaba", "reasoning_off"),
        "reasoning_effort_enum_varies": ("moonshot", "reasoning_words"),
        "null_disables_reasoning": ("sarvam", "reasoning_off"),
        "temperature_fixed": ("spark", "temperature"),
        "temperature_max_1": ("moonshot", "temperature"),
        "no_tool_choice_required": ("moonshot", "forced_tool"),
        "tool_choice_any": ("mistral", "forced_tool"),
        "function_tools_only": ("deepseek", "other_tools"),
        "no_json_schema": ("zai", "json_schema"),
        "keeps_cache_control": ("alibaba", "cache_marks"),
        "string_content_only": ("publicai", "text_parts"),
        "business_code_errors": ("zhipu-bigmodel", "filtered"),
        "content_filter_refusals": ("zhipu-bigmodel", "filtered"),
        "orchestration_usage": ("sakana", "usage"),
        "random_seed": ("mistral", "seed"),
        "tool_markup_in_text": ("llama-cpp", "raw_markup"),
    }
)
"""Which scenario at which provider turns red when a quirk's handler is switched off."""


@pytest.mark.parametrize("provider", providers())
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_provider_passes_a_scenario(provider: str, scenario: str) -> None:
    outcome = run(SCENARIOS[scenario], DIALECT, provider)
    assert outcome.failure is None


@pytest.mark.parametrize("quirk", QUIRKS)
def test_without_a_quirks_handler_the_suite_turns_red(quirk: str) -> None:
    provider, scenario = SEEN_BY[quirk]
    without = OpenAIChat({name: handler for name, handler in QUIRKS.items() if name != quirk})
    assert run(SCENARIOS[scenario], without, provider).failure is not None
    assert run(SCENARIOS[scenario], DIALECT, provider).failure is None


def test_every_chat_provider_of_the_catalogue_has_a_twin_and_an_endpoint() -> None:
    assert set(providers()) == set(load_twins())
    assert len(providers()) >= 50
    assert all(endpoints_of(provider) for provider in providers())


def test_every_scenario_applies_somewhere() -> None:
    sample = ("openai", "deepseek", "minimax", "vllm", "mistral")
    idle = [n for n, s in SCENARIOS.items() if not any(run(s, DIALECT, provider).played for provider in sample)]
    assert idle == []


def test_every_quirk_of_the_catalogue_is_classified_once() -> None:
    classes = (set(QUIRKS), set(ELSEWHERE), set(OTHER_DIALECTS))
    known = set(load_facts().quirks)
    assert len(known) == 36
    assert set().union(*classes) == known
    assert sum(len(found) for found in classes) == len(known)


def test_every_handler_is_needed_by_a_provider_whose_facts_name_it() -> None:
    facts = load_facts()
    for quirk, (provider, _) in SEEN_BY.items():
        assert quirk in facts.providers[provider].quirks, quirk


def test_what_a_twin_rests_on_is_said_of_rules_that_exist() -> None:
    rules = {"temperature", "efforts", "images"}
    for twin in load_twins().values():
        assert set(twin.basis) <= rules | set(twin.__struct_fields__), twin.id


def test_paths_of_the_catalogue_are_the_twins_paths() -> None:
    for provider in providers():
        for endpoint in endpoints_of(provider):
            path = "/" + endpoint.base_url.split("://", 1)[1].partition("/")[2]
            assert f"{path.rstrip('/')}/chat/completions" in load_twins()[provider].paths, endpoint.id
