"""The tokenizer: what goes in comes out, whatever it is; digits turn their order and nothing else."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from shoal.practice.questions import SKILLS, task_questions
from shoal.practice.tokenizer import SPECIALS, UNKNOWN, Tokenizer, learn_pieces

TEXTS = [t for skill in SKILLS for q in task_questions(skill, "fit", 60, 5) for t in (q.prompt, q.answer)]
TOKENIZER = Tokenizer(learn_pieces(TEXTS))


def test_known_texts_come_back_exactly() -> None:
    for text in TEXTS:
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(st.text())
def test_any_text_is_encoded_and_only_unknown_characters_are_lost(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert all(0 <= token < len(TOKENIZER) for token in ids)
    if UNKNOWN not in ids:
        assert TOKENIZER.decode(ids) == unicodedata.normalize("NFC", text)


def test_lone_surrogates_and_nulls_are_unknown_not_errors() -> None:
    assert TOKENIZER.encode("\ud800\x00") == [UNKNOWN, UNKNOWN]


def test_a_run_of_digits_starts_with_its_last_digit() -> None:
    ids = TOKENIZER.encode("325 + 17")
    assert [TOKENIZER.piece(token) for token in ids if TOKENIZER.is_digit(token)] == ["5", "2", "3", "7", "1"]


def test_places_count_within_a_run_and_runs_count_within_a_text() -> None:
    places, runs = TOKENIZER.places(TOKENIZER.encode("325+17"))
    assert (places, runs) == ([1, 2, 3, 0, 1, 2], [1, 1, 1, 0, 2, 2])


def test_learning_joins_common_neighbours_but_never_digits() -> None:
    pieces = learn_pieces(["twenty 11", "twenty 11"], rarest=0.5)
    assert pieces[: len(SPECIALS)] == SPECIALS
    assert "twenty" in pieces and "11" not in pieces
