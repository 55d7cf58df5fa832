"""What a practice model reads of a body, what it refuses, and where a stop text ends an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.practice.chat import MAX_TEXT, Ask, BadAsk, StopScan, parse


def body(**more: Any) -> dict[str, Any]:
    return {"model": "ada", "messages": [{"role": "user", "content": "1 + 2"}], **more}


def test_a_plain_body_asks_for_the_likeliest_tokens() -> None:
    assert parse(body(), "ada") == Ask("1 + 2")


def test_nulls_mean_not_said() -> None:
    keys = "max_tokens temperature seed stop n stream stream_options logprobs top_logprobs tools top_p".split()
    assert parse(body(**dict.fromkeys(keys)), "ada") == Ask("1 + 2")


def test_the_smaller_of_both_limits_holds() -> None:
    assert parse(body(max_tokens=7, max_completion_tokens=5), "ada").max_tokens == 5


def test_a_negative_seed_is_a_seed() -> None:
    assert parse(body(seed=-1), "ada").seed == 2**63 - 1


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "hm"}]}, "messages"),
        ({"messages": ["hm"]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "9" * (MAX_TEXT + 1)}]}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tools": [{}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_a_refusal_names_the_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadAsk) as refused:
        parse(body(**change), "ada")
    assert refused.value.body["error"]["param"] == param
    assert refused.value.status == 400


def test_another_models_name_is_not_found() -> None:
    with pytest.raises(BadAsk) as refused:
        parse(body(), "bob")
    assert (refused.value.status, refused.value.body["error"]["code"]) == (404, "model_not_found")


@given(st.lists(st.text("abc", max_size=3), max_size=12), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3))
def test_any_cutting_of_a_text_stops_at_the_same_place(parts: list[str], stops: list[str]) -> None:
    text = "".join(parts)
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    scan = StopScan(stops)
    shown = "".join(scan.feed(part) for part in parts)
    shown += scan.rest()
    assert scan.hit == bool(ends)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if not ends:
        assert shown == text
