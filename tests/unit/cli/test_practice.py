"""`shoal practice` without a pool: lists as the room has them, repeatable questions, errors that show a way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from shoal.cli import practice
from shoal.cli.main import Shared
from shoal.core.errors import CallerError, SetupError
from shoal.practice import fault
from shoal.practice.process import read_card
from shoal.practice.questions import LEVELS, is_right
from shoal.practice.splits import Split


def run(*words: str) -> str:
    return CliRunner().invoke(practice.command, words, catch_exceptions=False).output


def test_choices_are_those_of_the_room() -> None:
    assert practice.KINDS == fault.KINDS
    assert practice.LEVELS == ("mixed", *LEVELS)
    assert practice.SPLITS == get_args(Split)


def test_questions_are_lines_of_four_fields_and_the_same_for_one_seed() -> None:
    lines = run("questions", "--seed", "3", "--n", "9").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 9 and all(list(row) == ["prompt", "answer", "level", "language"] for row in rows)
    assert sorted(row["level"] for row in rows) == sorted([*LEVELS] * 3)
    assert all(is_right(row["answer"], f" {row['answer']}\n") for row in rows)
    assert run("questions", "--seed", "3", "--n", "9", "--json").splitlines() == lines
    assert run("questions", "--seed", "4", "--n", "9").splitlines() != lines


def test_a_level_can_be_asked_for() -> None:
    assert {json.loads(line)["level"] for line in run("questions", "--level", "three").splitlines()} == {"three"}


def test_orders_without_a_pool_say_how_to_start_one(tmp_path: Path) -> None:
    shared = Shared(config=None, state=tmp_path, url=None)
    for words in (["list"], ["fault", "hana-ja", "429"], ["clear"], ["revive", "hana-ja"]):
        with pytest.raises(SetupError, match="`shoal serve` starts one"):
            CliRunner().invoke(practice.command, words, obj=shared, catch_exceptions=False)


def test_an_unknown_kind_is_a_usage_error() -> None:
    assert "'flood' is not one of '429'" in run("fault", "hana-ja", "flood")


def test_the_card_of_one_model_is_counts() -> None:
    if not read_card():
        with pytest.raises(SetupError, match="make practice"):
            run("card")
        return
    name, tasks = next(iter(read_card().items()))
    shown = json.loads(run("card", name, "--json"))["models"]
    assert list(shown) == [name]
    assert {task: (row["right"], row["asked"]) for task, row in shown[name].items()} == tasks
    assert name in run("card", f"practice/{name}")
    with pytest.raises(CallerError, match="no practice model `nobody`"):
        run("card", "nobody")


@pytest.mark.parametrize(
    ("times", "after", "words"),
    [(1, 0, "cut once"), (0, 1, "cut until cleared after one request"), (2, 3, "cut 2 times after 3 requests")],
)
def test_a_fault_is_told_in_words(times: int, after: int, words: str) -> None:
    assert practice._words({"kind": "cut", "times": times, "after": after}) == words
