"""Every wording of every language is recognised and split; everything else is left alone, quickly."""

from __future__ import annotations

import time
import unicodedata

import pytest

from shoal.coordinator.phrases import DIGITS, MAX_CHARACTERS, OPERATIONS, Kind, NumberQuestion, Phrases, load_table

PHRASES = Phrases()
TABLE = load_table()
# Texts in each language's script that are no numbers: recognition must not need to know numbers.
OPERANDS = {
    "ja": ("山田川", "森の空"),
    "ko": ("가나다", "라마"),
    "zh": ("山田川", "森林"),
    "hi": ("कमल", "सागर तट"),
    "ar": ("قمر منير", "شمس"),
    "vi": ("hoa sen", "núi đá"),
    "th": ("ดอกไม้", "ภูเขา"),
    "id": ("bunga-laut", "gunung"),
    "fr": ("château-fort", "rivière"),
    "en": ("Blue-green lake", "hill"),
}


def expressions(language: str) -> list[tuple[str, str, tuple[str, str]]]:
    first, second = OPERANDS[language]
    return [
        (operation, form.format(a=first, b=second), (first, second))
        for operation in OPERATIONS
        for form in TABLE[language][operation]
    ]


@pytest.mark.parametrize("language", PHRASES.languages)
def test_every_wording_of_one_skill_is_recognised(language: str) -> None:
    word = OPERANDS[language][0]
    for form in TABLE[language]["read"]:
        assert PHRASES.recognise(form.format(w=word)) == NumberQuestion(language, Kind.READ, (word,)), form
    for form in TABLE[language]["write"]:
        assert PHRASES.recognise(form.format(d="40325")) == NumberQuestion(language, Kind.WRITE, ("40325",)), form


@pytest.mark.parametrize("language", PHRASES.languages)
def test_every_wording_of_an_expression_is_recognised_and_split(language: str) -> None:
    for asks, kind in (("ask_digits", Kind.EXPRESSION_TO_DIGITS), ("ask_words", Kind.EXPRESSION_TO_WORDS)):
        for form in TABLE[language][asks]:
            for operation, expression, parts in expressions(language):
                found = PHRASES.recognise(form.format(e=expression))
                assert found == NumberQuestion(language, kind, parts, operation), form.format(e=expression)


@pytest.mark.parametrize("language", PHRASES.languages)
def test_an_expression_in_digits_answered_in_words_is_split(language: str) -> None:
    for operation in OPERATIONS:
        for sign in TABLE[DIGITS][operation]:
            for form in TABLE[language]["write"]:
                found = PHRASES.recognise(form.format(d=sign.format(a="512", b="17")))
                assert found == NumberQuestion(language, Kind.DIGITS_TO_WORDS, ("512", "17"), operation)


def test_every_wording_of_an_operation_is_recognised() -> None:
    for operation in OPERATIONS:
        for sign in TABLE[DIGITS][operation]:
            for form in TABLE[DIGITS]["ask"]:
                found = PHRASES.recognise(form.format(e=sign.format(a="512", b="17")))
                assert found == NumberQuestion(DIGITS, Kind.OPERATION, ("512", "17"), operation)


@pytest.mark.parametrize(
    "written",
    [
        "  Compute   BLUE lake\n plus  hill ",
        "compute BLUE lake plus hill.",
        "ＣＯＭＰＵＴＥ BLUE lake plus hill！",
    ],
)
def test_width_case_spaces_and_last_marks_do_not_matter_and_operands_keep_their_spelling(written: str) -> None:
    assert PHRASES.recognise(written) == NumberQuestion("en", Kind.EXPRESSION_TO_WORDS, ("BLUE lake", "hill"), "add")


def test_decomposed_text_is_recognised_and_composed() -> None:
    question = TABLE["vi"]["read"][0].format(w="núi đá")
    found = PHRASES.recognise(unicodedata.normalize("NFD", question))
    assert found == NumberQuestion("vi", Kind.READ, ("núi đá",))


def test_a_sign_expression_in_a_sentence_is_answered_in_digits() -> None:
    found = PHRASES.recognise("What is 325 + 17?")
    assert found == NumberQuestion(DIGITS, Kind.EXPRESSION_TO_DIGITS, ("325", "17"), "add")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "what is love?",
        "what is c plus plus minus x?",
        "write {w} in digits",
        "write hello in words",
        "what is http://a.b/c plus d?",
        "compute {r1} plus {c}",
        "Explain the plus side of living in Paris in digits and letters, please; be brief: three lines",
        "123456 + 1 = ?",
        "三百の意味は？",
        "what is 山 plus 川?",
        "plus",
        "what is plus?",
        "= ?",
        "\x00\x00\x00",
        "what is three plus four? " + "x" * MAX_CHARACTERS,
    ],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert PHRASES.recognise(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "what is " + "a plus " * 40 + "b?",
        "compute " + " " * 290,
        "?" * 300,
        " ?" * 150,
        "1+" * 150,
        "1" * 300,
        "は" * 299 + "？",
        "İ" * 300,
        "ﷺ" * 300,
        "e\u0301" * 150,
        "bằng chữ số " * 25,
    ],
)
def test_hostile_texts_take_no_time(text: str) -> None:
    fastest = min(_seconds(text[:MAX_CHARACTERS]) for _ in range(5))
    assert fastest < 0.005


def test_ordinary_prompts_cost_next_to_nothing() -> None:
    assert min(_seconds("Please explain this contract to me. " * 55) for _ in range(5)) < 0.0005


def _seconds(text: str) -> float:
    started = time.perf_counter()
    PHRASES.recognise(text)
    return time.perf_counter() - started
