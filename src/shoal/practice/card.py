"""The report card: what each practice model can do, measured on `card` questions that no training has seen.

Knows the roster, the questions and how to ask a model in bulk. Knows nothing of servers, prices or time: the same
weights give the same card, and `python -m shoal.practice.card --check` says whether the committed one still holds.
Reading the card is light; only measuring loads NumPy.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from shoal.practice.mistakes import near_miss
from shoal.practice.questions import SKILLS, Question, check_prompt, generate, is_right, task_questions
from shoal.practice.roster import Member, members

if TYPE_CHECKING:
    from shoal.practice.transformer import Model

QUESTIONS_PER_TASK = 500
MIXED_QUESTIONS = 600
SEED = 2026
LONGEST_ANSWER = 16  # tokens; the longest right answer has 13
ACCEPT, REVISE = "ACCEPT", "REVISE"

Card = dict[str, Any]


@cache
def load_card() -> Mapping[str, Any]:
    """Read the committed report card."""
    return json.loads(_path().read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def accuracy_on_card(model_id: str, task: str) -> float:
    """Say what share of `task` the card gives to a solver; 0 for models and tasks it does not hold."""
    row = load_card()["solvers"].get(model_id, {"accuracy": {}})
    return float(row["accuracy"].get(task, 0.0))


def make_card(questions_per_task: int = QUESTIONS_PER_TASK) -> Card:
    """Measure every model of the roster on every task, and every verifier on right and wrong answers."""
    from shoal.practice.transformer import Model

    tasks = {skill: task_questions(skill, "card", questions_per_task, SEED) for skill in SKILLS}
    mixed = generate(SEED, MIXED_QUESTIONS, split="card")
    card: Card = {
        "about": "share of right answers of each practice model, on questions no training has seen",
        "split": "card",
        "seed": SEED,
        "questions_per_task": questions_per_task,
        "mixed_questions": MIXED_QUESTIONS,
        "solvers": {},
        "verifiers": {},
    }
    mistakes: list[tuple[Question, str]] = []
    for member in _with_role("solver"):
        model = Model.load(member.weights_path())
        card["solvers"][member.id] = _examine_solver(model, member, tasks, mixed, mistakes)
    for member in _with_role("verifier"):
        card["verifiers"][member.id] = examine_verifier(Model.load(member.weights_path()), tasks, mistakes)
    return card


def measure(model: "Model", questions: Sequence[Question]) -> float:
    """Give the share of `questions` that `model` answers right, rounded to four places."""
    replies = model.complete_batch([question.prompt for question in questions], LONGEST_ANSWER)
    return _share([is_right(question, reply) for question, reply in zip(questions, replies, strict=True)])


def examine_verifier(
    model: "Model", tasks: Mapping[str, Sequence[Question]], mistakes: Sequence[tuple[Question, str]]
) -> Card:
    """Measure a verifier: on right answers, on near misses of them, and on mistakes that solvers really made."""
    questions = [question for task in tasks.values() for question in task]
    random = Random(f"{SEED}/near misses")
    near = [(question, near_miss(random, question)) for question in questions]
    on_right = _reviews(model, [(question, question.answer) for question in questions])
    on_near, on_real = _reviews(model, near), _reviews(model, mistakes)
    reviews = iter(on_right)
    rejected = {skill: _share([next(reviews) != ACCEPT for _ in task]) for skill, task in tasks.items()}
    return {
        "weights": model.fingerprint(),
        "right_answers": len(on_right),
        "near_misses": len(on_near),
        "real_mistakes": len(on_real),
        "false_reject": _share([review != ACCEPT for review in on_right]),
        "false_accept": _share([review == ACCEPT for review in (*on_near, *on_real)]),
        "false_accept_near_misses": _share([review == ACCEPT for review in on_near]),
        "false_accept_real_mistakes": _share([review == ACCEPT for review in on_real]),
        "unparsable": _share([review not in (ACCEPT, REVISE) for review in (*on_right, *on_near, *on_real)]),
        "false_reject_by_task": rejected,
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List where two cards differ by more than one question of a task, which is what float noise may move."""
    return _differences(old, new, "", 1.01 / new["questions_per_task"])


def _differences(old: Any, new: Any, path: str, slack: float) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = [f"{path}/{key}: only in one card" for key in sorted(set(old) ^ set(new))]
        for key in sorted(set(old) & set(new)):
            found += _differences(old[key], new[key], f"{path}/{key}", slack)
        return found
    if isinstance(old, float) and isinstance(new, float):
        return [] if abs(old - new) <= slack else [f"{path}: the card says {old}, measured {new}"]
    if path.endswith("/real_mistakes"):  # a solver's one answer more or less is one mistake less or more
        return [] if abs(old - new) <= max(5, old // 50) else [f"{path}: the card says {old}, measured {new}"]
    return [] if old == new else [f"{path}: the card says {old}, measured {new}"]


def _examine_solver(
    model: "Model",
    member: Member,
    tasks: Mapping[str, Sequence[Question]],
    mixed: Sequence[Question],
    mistakes: list[tuple[Question, str]],
) -> Card:
    """Measure one solver on all tasks at once, and keep the mistakes it made in what it was taught."""
    questions = [question for task in tasks.values() for question in task]
    replies = iter(model.complete_batch([question.prompt for question in questions], LONGEST_ANSWER))
    accuracy = {}
    for skill, task in tasks.items():
        answered = [(question, next(replies)) for question in task]
        accuracy[skill] = _share([is_right(question, reply) for question, reply in answered])
        if skill in member.skills:
            mistakes += [(question, reply) for question, reply in answered if not is_right(question, reply)]
    return {"weights": model.fingerprint(), "mixed": measure(model, mixed), "accuracy": accuracy}


def _reviews(model: "Model", proposed: Sequence[tuple[Question, str]]) -> list[str]:
    return model.complete_batch([check_prompt(question.prompt, answer) for question, answer in proposed], 4)


def _with_role(role: str) -> list[Member]:
    return [member for member in members().values() if role in member.roles]


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 4) if hits else 0.0


def _path() -> Path:
    return Path(str(resources.files("shoal.practice").joinpath("report_card.json")))


def main() -> int:
    """Write the report card, or with --check say where the committed one no longer holds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed card, write nothing")
    chosen = parser.parse_args()
    card = make_card()
    if not chosen.check:
        _path().write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        return 0
    found = differences(load_card(), card)
    print("\n".join(found) or "the report card holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
