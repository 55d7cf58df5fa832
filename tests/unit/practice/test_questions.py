"""Questions: drawn by seed, right by arithmetic, and disjoint by operands between the splits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.practice.numerals import LANGUAGES, spell
from shoal.practice.questions import (
    LEVELS,
    OPERATIONS,
    SKILLS,
    Question,
    generate,
    is_right,
    task_questions,
)
from shoal.practice.splits import MULTIPLIERS, belongs

_COMPUTE = {"add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b}


def _result(question: Question) -> int:
    operation = next((skill for skill in question.skills if skill in OPERATIONS), None)
    return _COMPUTE[operation](*question.operands) if operation else question.operands[0]


def _own_operands(questions: list[Question]) -> set[int]:
    """Collect operands but for the single-digit multipliers that all splits share."""
    found: set[int] = set()
    for question in questions:
        found.update(question.operands[:1] if "multiply" in question.skills else question.operands)
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**9), level=st.sampled_from(("mixed", *LEVELS)))
def test_questions_of_different_splits_share_no_operand(seed: int, level: str) -> None:
    fit, card, test = (_own_operands(generate(seed, 60, level=level, split=s)) for s in ("fit", "card", "test"))
    assert not fit & card and not fit & test and not card & test


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**9), split=st.sampled_from(("fit", "card", "test")))
def test_every_question_lies_in_its_split_and_its_answer_is_right(seed: int, split: str) -> None:
    for question in generate(seed, 40, split=split):
        assert belongs(question.operands, question.split, multiplies="multiply" in question.skills)
        assert question.split == split
        result = _result(question)
        assert 0 <= result <= 99_999
        in_words = question.skills[-1].startswith("write:")
        assert question.answer == (spell(result, question.language) if in_words else str(result))
        if "multiply" in question.skills:
            assert question.operands[1] in MULTIPLIERS


def test_the_same_seed_gives_the_same_questions() -> None:
    assert generate(7, 50) == generate(7, 50)
    assert generate(7, 50) != generate(8, 50)


def test_the_mixed_suite_is_a_third_each_with_all_languages_and_skills() -> None:
    questions = generate(1, 1_500)
    assert [sum(q.level == level for q in questions) for level in LEVELS] == [500, 500, 500]
    assert {q.language for q in questions} == {*LANGUAGES, "digits"}
    assert {skill for q in questions for skill in q.skills} == set(SKILLS)
    lengths = [sum(len(str(q.operands[0])) == n for q in questions if q.level == "one") for n in (3, 4, 5)]
    assert min(lengths) > 100


@pytest.mark.parametrize("skill", ["read:ja", "write:hi", "subtract", "multiply"])
def test_a_task_has_twenty_thousand_different_questions(skill: str) -> None:
    assert len({question.prompt for question in task_questions(skill, "fit", 20_000, 3)}) == 20_000


@pytest.mark.parametrize("skill", SKILLS)
def test_the_card_can_ask_500_different_questions_of_every_task(skill: str) -> None:
    questions = task_questions(skill, "card", 500, 3)
    assert len({question.prompt for question in questions}) == 500
    assert all(question.skills == (skill,) and question.split == "card" for question in questions)


def test_asking_for_more_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match="ask for fewer"):
        task_questions("read:ja", "card", 60_000, 1)


def test_chains_name_their_skills_in_order() -> None:
    for question in generate(3, 100, level="three"):
        tag = question.language
        assert question.skills[:2] == (f"read:{tag}", f"read:{tag}")
        assert question.skills[2] in OPERATIONS and question.skills[3:] == (f"write:{tag}",)


@pytest.mark.parametrize(
    ("answer", "reply", "verdict"),
    [
        ("325", " 325\n", True),
        ("325", "\uff13\uff12\uff15", True),
        ("325", "\u0663\u0662\u0665", True),
        ("325", "325.", False),
        ("325", "0325", False),
        ("thirty  one", "thirty one", True),
        ("thirty one", "thirty-one", False),
        ("năm", "na\u0306m", True),
        ("325", "", False),
    ],
)
def test_right_means_exact_but_for_space_form_and_digit_script(answer: str, reply: str, verdict: bool) -> None:
    assert is_right(answer, reply) is verdict


def test_an_unknown_level_or_split_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="choose mixed, one, two, three"):
        generate(1, 1, level="four")
    with pytest.raises(ValueError, match="choose fit, card, test"):
        generate(1, 1, split="exam")
