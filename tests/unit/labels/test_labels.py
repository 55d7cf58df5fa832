"""Labels: what is declared and what is found."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fakes import request
from shoal.core.item import Message, Speaker, Text, ToolCall, ToolResult, say
from shoal.core.label import NOTHING, Label
from shoal.core.request import Prompt, Request, Sampling, Tool
from shoal.labels.detector import is_personal
from shoal.labels.labels import Labels

FOUND = [
    "write to taro@example.jp please",
    "メールはtaro@example.jpです",
    "메일은hong.gildong+x@mail.example.co.kr로",
    "邮箱：用户@example.com。",
    "ｔａｒｏ＠example．jp",
    "<a.b-c@sub.example-host.org>",
    "mailto:x@example.museum?subject=hi",
    "카드 4111111111111111로 결제",
    "カード番号4111-1111-1111-1111で",
    "card 5500 0000 0000 0004.",
    "amex 378282246310005",
    "カード４１１１１１１１１１１１１１１１",
    "first 4111111111111112, then 4111111111111111",
]
CLEAN = [
    "",
    "what is 325 plus 17?",
    "三百二十五足す十七は？",
    "@someone said hi @ noon",
    "user@localhost",
    "a@b",
    "pip install x@1.2.3",
    "order 4111111111111112",
    "a hash a4111111111111111f",
    "1234567890123456789012345678901234567890",
    "at 1763640000000000000 ns",
    "4444444444444444",
    "price 4,111,111,111,111,111",
    "2025-11-20 22:43:45, 99999 + 12345",
    "0.4111111111111111",
]


@pytest.mark.parametrize("text", FOUND)
def test_addresses_and_cards_are_found_next_to_any_script(text: str) -> None:
    assert is_personal(text)


@pytest.mark.parametrize("text", CLEAN)
def test_what_only_resembles_them_is_left_alone(text: str) -> None:
    assert not is_personal(text)


def test_a_declared_label_is_joined_with_what_is_found() -> None:
    declared = Label(subjects=frozenset({"KR"}), sectors=frozenset({"finance"}))
    asked = request("mail me at a@example.org")
    asked = replace(asked, prompt=replace(asked.prompt, label=declared))
    assert Labels().of(asked) == replace(declared, personal=True)


def test_a_declared_label_is_never_weakened() -> None:
    asked = request("hello")
    declared = Label(personal=True, sensitive=True, minor=True)
    asked = replace(asked, prompt=replace(asked.prompt, label=declared))
    assert Labels().of(asked) == declared


def test_labels_of_items_are_joined() -> None:
    items = (replace(say("one"), label=Label(tags=frozenset({"gov:TW"}))), say("two"))
    assert Labels().of(Request("run_a", "shoal", Prompt(items))).tags == {"gov:TW"}


def test_a_request_without_anything_has_no_label() -> None:
    assert Labels().of(request("hello")) == NOTHING


@pytest.mark.parametrize(
    "item",
    [
        say("x a@example.org", Speaker.SYSTEM),
        Message(Speaker.USER, (Text("x"), Text(" a@example.org"))),
        ToolCall("1", "send", '{"to": "a@example.org"}'),
        ToolResult("1", (Text("from a@example.org"),)),
    ],
)
def test_every_kind_of_item_is_read(item: Message | ToolCall | ToolResult) -> None:
    assert Labels().of(Request("run_a", "shoal", Prompt((say("hello"), item)))).personal


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((say("hello"),), user="a@example.org"),
        Prompt((say("hello"),), tools=(Tool("send", {"function": {"description": "mails a@example.org"}}),)),
        Prompt((say("hello"),), Sampling(extra={"metadata": {"who": "a@example.org"}})),
        Prompt((say("hello"),), Sampling(stop=("a@example.org",))),
        Prompt((Message(Speaker.USER, (Text("hello"),), name="a@example.org"),)),
    ],
    ids=["user", "tool", "field", "stop", "name"],
)
def test_what_is_sent_beside_the_items_is_read_too(prompt: Prompt) -> None:
    assert Labels().of(Request("run_a", "shoal", prompt)).personal


@pytest.mark.parametrize("flag", ["sensitive", "credit_info", "minor"])
def test_data_about_people_is_personal_without_saying_so(flag: str) -> None:
    declared = Label(**{flag: True})  # type: ignore[arg-type]  # every one of them is a flag
    assert Labels().of(Request("run_a", "shoal", Prompt((say("hello"),), label=declared))).personal


def test_a_detector_that_fails_makes_the_text_personal() -> None:
    def fails(text: str) -> bool:
        raise RuntimeError("broken")

    assert Labels(fails).of(request("hello")).personal


@pytest.mark.parametrize(
    "text",
    ["a" * 500_000, "a@" * 250_000, "a@a." * 120_000, "4 " * 250_000, "4-4" * 160_000, "@" * 500_000, "4" * 500_000],
    ids=["letters", "ats", "dots", "spaced digits", "dashes", "only ats", "digits"],
)
def test_no_text_makes_the_search_slow(text: str) -> None:
    started = time.thread_time()
    is_personal(text)
    assert time.thread_time() - started < 2.0


def test_two_thousand_characters_cost_little() -> None:
    texts = ["The quick brown fox counts 12345 things. " * 49, "三百二十五足す十七は、いくつですか。" * 111]
    for text in texts:
        asked = request(text[:2000])
        best = min(_timed(asked) for _ in range(30))
        assert best < 0.0005  # aimed at 0.2 ms; measured 0.03 to 0.05 ms


def _timed(asked: Request) -> float:
    started = time.perf_counter()
    Labels().of(asked)
    return time.perf_counter() - started
