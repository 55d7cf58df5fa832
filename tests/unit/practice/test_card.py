"""The report card: the committed one meets the bars, and a slice measured anew agrees with it."""

import copy

import pytest

from shoal.practice import card as report
from shoal.practice.card import SEED, accuracy_on_card, differences, examine_verifier, load_card, measure
from shoal.practice.questions import SKILLS, task_questions
from shoal.practice.roster import members
from shoal.practice.transformer import Model


@pytest.mark.parametrize("skill", SKILLS)
def test_every_skill_has_a_first_holder_and_a_cheaper_second_abroad(skill: str) -> None:
    rows = members().values()
    firsts = [row for row in rows if accuracy_on_card(row.id, skill) >= 0.99]
    assert firsts
    assert any(
        0.85 <= accuracy_on_card(row.id, skill) <= 0.95
        and all(row.country != first.country and row.price_out_usd < first.price_out_usd for first in firsts)
        for row in rows
    )


def test_no_single_model_answers_more_than_45_in_a_hundred_of_the_mixed_suite() -> None:
    assert max(row["mixed"] for row in load_card()["solvers"].values()) <= 0.45


def test_the_generalist_is_weak_but_not_empty() -> None:
    accuracy = load_card()["solvers"]["liberty-omni"]["accuracy"]
    assert 0.1 <= sum(accuracy.values()) / len(accuracy) <= 0.7
    assert max(accuracy.values()) < 0.99 and sum(share >= 0.85 for share in accuracy.values()) <= 4


def test_a_verifier_rarely_accepts_the_wrong_or_rejects_the_right() -> None:
    for row in load_card()["verifiers"].values():
        assert row["false_accept"] <= 0.03 and row["false_reject"] <= 0.05
        assert row["right_answers"] >= 500 * len(SKILLS) and row["near_misses"] >= 500 * len(SKILLS)


def test_the_card_holds_at_least_500_questions_a_task_for_every_model() -> None:
    committed = load_card()
    assert committed["questions_per_task"] >= 500 and committed["split"] == "card"
    assert {*committed["solvers"], *committed["verifiers"]} == set(members())
    assert all(set(row["accuracy"]) == set(SKILLS) for row in committed["solvers"].values())


@pytest.mark.parametrize(
    ("model_id", "skill"), [("hana-ja", "read:ja"), ("merlion-mini", "write:ko"), ("maple-calc", "add")]
)
def test_a_slice_measured_anew_agrees_with_the_card(model_id: str, skill: str) -> None:
    count = load_card()["questions_per_task"]
    measured = measure(Model.load(model_id), task_questions(skill, "card", count, SEED))
    assert measured == pytest.approx(accuracy_on_card(model_id, skill), abs=1.01 / count)


def test_the_card_names_the_weights_it_measured() -> None:
    rows = {**load_card()["solvers"], **load_card()["verifiers"]}
    for model_id, row in rows.items():
        assert Model.load(model_id).fingerprint() == row["weights"]


def test_a_slice_of_the_verifier_measured_anew_meets_the_bars() -> None:
    (model_id,) = load_card()["verifiers"]
    tasks = {skill: task_questions(skill, "card", 12, SEED) for skill in SKILLS}
    found = examine_verifier(Model.load(model_id), tasks, [])
    assert found["false_accept"] <= 0.05 and found["false_reject"] <= 0.07


def test_a_card_that_moved_by_more_than_one_question_is_told() -> None:
    old = {"questions_per_task": 500, "solvers": {"a": {"weights": "x", "accuracy": {"add": 0.99}}}}
    near, far = copy.deepcopy(old), copy.deepcopy(old)
    near["solvers"]["a"]["accuracy"]["add"] = 0.992  # type: ignore[index]
    far["solvers"]["a"]["accuracy"]["add"] = 0.98  # type: ignore[index]
    assert differences(old, near) == []
    assert len(differences(old, far)) == 1
    assert report.differences(old, {**old, "solvers": {}}) == ["/solvers/a: only in one card"]
