"""The transformer: alike whole or streamed, calm under hostile input, ignorant with shuffled weights."""

import ast
from pathlib import Path

import numpy as np
import pytest

import shoal.practice
from shoal.practice.card import LONGEST_ANSWER, measure
from shoal.practice.questions import SKILLS, check_prompt, task_questions
from shoal.practice.roster import members
from shoal.practice.transformer import Model

ROOM = Path(shoal.practice.__file__).parent
SOLVERS = [row for row in members().values() if "solver" in row.roles]
VERIFIERS = [row for row in members().values() if "verifier" in row.roles]
HOSTILE = ["", " ", "\x00\ud800\udfff", "9" * 5_000, "hello \N{GRINNING FACE}" * 2_000, "\u202e\u0000325", "三" * 300]


def _text(model: Model, prompt: str, **options: object) -> str:
    return "".join(piece.text for piece in model.generate(prompt, max_tokens=24, **options))  # type: ignore[arg-type]


def test_streaming_gives_the_same_answers_as_the_batch() -> None:
    model = Model.load("hana-ja")
    prompts = [q.prompt for skill in ("read:ja", "write:ja") for q in task_questions(skill, "test", 20, 1)]
    assert [_text(model, prompt) for prompt in prompts] == model.complete_batch(prompts, 24)


@pytest.mark.parametrize("prompt", HOSTILE)
@pytest.mark.parametrize("model_id", ["hana-ja", *(row.id for row in VERIFIERS)])
def test_hostile_prompts_get_some_bounded_answer(model_id: str, prompt: str) -> None:
    model = Model.load(model_id)
    pieces = list(model.generate(prompt, max_tokens=8, temperature=1.0, seed=3))
    assert sum(not piece.is_end for piece in pieces) <= 8
    assert model.count(prompt) >= 1
    assert len(model.complete_batch([prompt], 8)) == 1


def test_an_answer_that_is_cut_short_does_not_claim_to_have_ended() -> None:
    model = Model.load("hana-ja")
    cut = list(model.generate("98765を漢数字で", max_tokens=2))
    whole = list(model.generate("98765を漢数字で", max_tokens=24))
    assert len(cut) == 2 and not cut[-1].is_end
    assert whole[-1].is_end and whole[-1].text == ""


def test_heat_changes_answers_and_a_seed_repeats_them() -> None:
    model = Model.load("hana-ja")
    hot = [_text(model, "325を漢数字で", temperature=5.0, seed=seed) for seed in range(6)]
    assert len(set(hot)) > 1
    assert hot[2] == _text(model, "325を漢数字で", temperature=5.0, seed=2)


def test_logprobs_come_when_asked_for() -> None:
    model = Model.load("hana-ja")
    assert all(piece.logprob is None for piece in model.generate("325を漢数字で", max_tokens=24))
    asked = [piece.logprob for piece in model.generate("325を漢数字で", max_tokens=24, logprobs=True)]
    assert all(logprob is not None and logprob <= 0 for logprob in asked)


def test_weights_survive_saving_in_half_precision(tmp_path: Path) -> None:
    model = Model.load("hana-ja")
    model.save(tmp_path / "copy.npz")
    copy = Model.load(tmp_path / "copy.npz")
    assert copy.fingerprint() == model.fingerprint()
    assert copy.tokenizer == model.tokenizer and copy.shape == model.shape
    assert all(array.dtype == np.float32 for array in copy.weights.values())


def test_missing_weights_are_named_with_the_way_out() -> None:
    with pytest.raises(FileNotFoundError, match="make practice"):
        Model.load("nobody")


@pytest.mark.parametrize("row", SOLVERS, ids=lambda row: row.id)
def test_with_shuffled_weights_every_skill_is_gone(row: object) -> None:
    model = Model.load(row.id).shuffled(seed=11)  # type: ignore[attr-defined]
    for skill in row.skills if len(row.skills) < 20 else SKILLS[::4]:  # type: ignore[attr-defined]
        assert measure(model, task_questions(skill, "test", 60, 2)) < 0.05


@pytest.mark.parametrize("row", VERIFIERS, ids=lambda row: row.id)
def test_a_verifier_with_shuffled_weights_reviews_nothing_right(row: object) -> None:
    model = Model.load(row.id).shuffled(seed=11)  # type: ignore[attr-defined]
    asked = [check_prompt(q.prompt, q.answer) for skill in SKILLS for q in task_questions(skill, "test", 10, 2)]
    replies = model.complete_batch(asked, LONGEST_ANSWER)
    assert sum(reply == "ACCEPT" for reply in replies) < 0.05 * len(asked)


@pytest.mark.parametrize(
    "file", ["transformer.py", "tokenizer.py", "server.py", "inference.py", "chat.py", "connection.py"]
)
def test_what_answers_questions_cannot_write_or_check_them(file: str) -> None:
    """Whatever serves answers imports nothing that spells numbers, draws questions or knows right from wrong."""
    path = ROOM / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    forbidden = {f"shoal.practice.{name}" for name in ("numerals", "questions", "mistakes", "card")} | {"num2words"}
    assert not imported & forbidden
