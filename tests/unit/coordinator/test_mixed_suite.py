"""Plans over the mixed suite: with endpoints that never err every answer is right, with erring ones checks earn it.

The endpoints here are oracles that answer one-skill questions; they stand outside the room under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import pytest

from coordinator_pool import COORDINATOR, ask_for, follow, practice, state_of
from shoal.coordinator.phrases import Kind, Phrases
from shoal.core.endpoint import Endpoint
from shoal.core.plan import Role, State, Step
from shoal.core.request import Effort
from shoal.practice.numerals import LANGUAGES, spell
from shoal.practice.questions import Question, generate, is_right

PHRASES = Phrases()
CALC = ("add", "subtract", "multiply")


def skilled(first: int, second: int) -> tuple[Endpoint, ...]:
    """A first and a second holder of every skill, a generalist and a verifier; figures are right out of 500."""
    pool = [practice("calc", CALC, first, "DE"), practice("calc2", CALC, second, "FR")]
    for at, tag in enumerate(LANGUAGES):
        skills = (f"read:{tag}", f"write:{tag}")
        pool += [practice(f"{tag}1", skills, first, f"A{at}"), practice(f"{tag}2", skills, second, f"B{at}")]
    everything = (*CALC, *(f"{kind}:{tag}" for kind in ("read", "write") for tag in LANGUAGES), "mixed")
    return (*pool, practice("generalist", everything, 150, "US"), practice("verifier", ("verify",), 480, "CH"))


def solve(task: str, words: Mapping[str, int]) -> str:
    found = PHRASES.recognise(task)
    assert found is not None and not found.kind.is_chain, (
        f"a chain asked something that takes more than one skill: {task}"
    )
    if found.kind is Kind.READ:
        return str(words[found.parts[0]])
    if found.kind is Kind.WRITE:
        return spell(int(found.parts[0]), found.language)
    first, second = map(int, found.parts)
    return str({"add": first + second, "subtract": first - second, "multiply": first * second}[found.operation or ""])


def answering(question: Question, random: Random, holds: Callable[[Step], float]) -> Callable[..., str]:
    words = {spell(n, question.language): n for n in question.operands} if question.language in LANGUAGES else {}

    def say(step: Step, outputs: Mapping[str, str]) -> str:
        task = step.render(outputs) or question.prompt
        if step.role is Role.VERIFIER:
            _, prompt, answer = task.split("\n")
            accepts = 0.95 if answer == _solved(prompt, words) else 0.03
            return "ACCEPT" if random.random() < accepts else "REVISE"
        right = _solved(task, words)
        return right if random.random() < holds(step) else right[:-1] + ("7" if right[-1] != "7" else "1")

    return say


def _solved(task: str, words: Mapping[str, int]) -> str:
    try:
        return solve(task, words)
    except (KeyError, ValueError, IndexError, AssertionError):
        return "?"  # an earlier step went wrong, so there is nothing right to say


def run(effort: Effort, pool: tuple[Endpoint, ...], n: int, chance: float, again: float) -> tuple[float, float]:
    right = calls = 0
    for at, question in enumerate(generate(7, n)):
        state: State = state_of(ask_for(question.prompt), pool, effort)
        holds = answering(question, Random(at), lambda step: again if step.id.endswith("_b") else chance)
        stop, state, _ = follow(state, holds)
        right += is_right(question, state.results[stop.final].text)
        calls += len(state.steps)
    return right / n, calls / n


@pytest.mark.parametrize("effort", [Effort.AUTO, Effort.DEEP])
def test_with_endpoints_that_never_err_every_answer_is_right(effort: Effort) -> None:
    share, _ = run(effort, skilled(500, 450), 240, 1.0, 1.0)
    assert share == 1.0


def test_checks_earn_their_calls_where_holders_err() -> None:
    plain, plain_calls = run(Effort.AUTO, skilled(490, 450), 300, 0.98, 0.9)
    deep, deep_calls = run(Effort.DEEP, skilled(490, 450), 300, 0.98, 0.9)
    assert deep > plain and deep >= 0.98
    assert plain_calls < 2.6 and deep_calls < 5.5


def test_checks_are_left_out_where_holders_hardly_err() -> None:
    _, calls = run(Effort.DEEP, skilled(500, 450), 120, 1.0, 1.0)
    assert calls < 2.6


def test_the_pool_is_planned_for_in_features_too() -> None:
    for question in generate(11, 120):
        features = COORDINATOR.features(ask_for(question.prompt))
        assert features.subject == "numbers" and len(features.needs.skills) == 1
