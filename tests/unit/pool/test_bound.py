"""Worst cases and estimates: what a call may cost before it is sent."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from fakes import endpoint
from shoal.core.item import Image, Message, Opaque, OtherPart, Reasoning, Speaker, Text, ToolCall, ToolResult, say
from shoal.core.money import Price, Tier
from shoal.core.request import Prompt, Sampling, Tool
from shoal.pool.bound import OUTPUT, OUTPUT_LEAST, TOKENS_PER_IMAGE, clamp, estimate, measure, output_most, worst_usd


def most(*items: object, **fields: object) -> int:
    return measure(Prompt(items, **fields)).most  # type: ignore[arg-type]


def test_every_kind_of_item_counts() -> None:
    empty = most()
    for item in (
        say("한국어 문장"),
        ToolCall("c1", "look", '{"a": 1}'),
        ToolResult("c1", (Text("found"),)),
        Reasoning("hm"),
        Opaque("thought", {"signature": "x" * 100}),
        Message(Speaker.USER, (OtherPart("input_audio", {"data": "x" * 100}),)),
    ):
        assert most(item) > empty
    assert most(say("한국어")) - most(say("")) == 9
    assert most(Message(Speaker.USER, (Image("https://x/y"),))) - most(say("")) == TOKENS_PER_IMAGE


def test_tools_and_schemas_count() -> None:
    tool = Tool("look", {"type": "function", "function": {"name": "look", "description": "d" * 500}})
    assert most(tools=(tool,)) - most() > 500
    assert most(sampling=Sampling(response_format={"type": "json_schema", "json_schema": {"x": "y" * 300}})) > 300


def test_an_answer_is_bounded_by_the_request_the_model_or_a_default() -> None:
    one = endpoint()
    able = replace(one, model=replace(one.model, max_output=1000))
    assert output_most(Prompt(()), one) == OUTPUT
    assert output_most(Prompt(()), able) == 1000
    assert output_most(Prompt((), Sampling(max_tokens=10)), able) == 10
    assert output_most(Prompt((), Sampling(max_tokens=5000)), able) == 1000


def test_the_worst_case_takes_the_dearest_tier() -> None:
    price = Price(Decimal(1), Decimal(2), tiers=(Tier(100, Decimal(3), Decimal(9)),))
    size = measure(Prompt(()))
    assert worst_usd(price, size, 1_000_000) == 9 + size.most * Decimal(3) / 1_000_000


def test_an_unbounded_answer_claims_half_of_what_is_left_at_most() -> None:
    one = endpoint(price=Price(Decimal(0), Decimal(1000)))
    prompt = Prompt((say("hello"),))
    size = measure(prompt)
    assert clamp(prompt, one, size, Decimal(2)).sampling.max_tokens == 1000
    assert clamp(prompt, one, size, Decimal("0.01")).sampling.max_tokens == OUTPUT_LEAST
    assert clamp(prompt, one, size, Decimal(1000)).sampling.max_tokens == OUTPUT


def test_an_estimate_rounds_up_and_never_counts_nothing_as_something() -> None:
    size = measure(Prompt((say("x" * 300),)))
    assert estimate(size, 0).output == 0 and estimate(size, 1).output == 1 and estimate(size, 300).output == 100
    assert 100 <= estimate(size, 0).input < size.most
