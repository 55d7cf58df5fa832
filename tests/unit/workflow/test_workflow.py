"""The workflow: order, parallelism, labels, release of the final text, failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from fakes import Notes, Still, answer, endpoint, request
from shoal.core.attempt import Served
from shoal.core.budget import Account
from shoal.core.errors import NoAbleEndpoint
from shoal.core.event import Act
from shoal.core.item import Delta, FinishDelta, TextDelta
from shoal.core.label import Label
from shoal.core.plan import Features, Next, Ranked, Review, Role, Route, State, Step, Stop
from shoal.core.request import Prompt
from shoal.workflow.workflow import Outcome, Workflow, review_of

SEOUL = endpoint("acme/seoul")


@dataclass
class Scripted:
    """Asks what it was given, one decision after another."""

    decisions: list[Next | Stop]
    states: list[State] = field(default_factory=list)

    def ask(self, state: State) -> Next | Stop:
        self.states.append(state)
        return self.decisions.pop(0)


@dataclass
class Everywhere:
    """Binds every step to the same endpoint and remembers the labels."""

    labels: dict[str, Label] = field(default_factory=dict)

    def bind(self, state: State, step: Step, label: Label, left_usd: Decimal | None) -> Route:
        self.labels[step.id] = label
        return Route((Ranked(SEOUL, 1.0, 0.9),))


@dataclass
class Speaks:
    """Answers with a function of the prompt; counts how many calls run at once."""

    reply: Callable[[str], str]
    prompts: list[str] = field(default_factory=list)
    now: int = 0
    most: int = 0

    async def follow(self, route: Route, prompt: Prompt, *, emit: Any, **rest: Any) -> Served:
        text = prompt.items[-1].text  # type: ignore[union-attr]
        self.prompts.append(text)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        said = self.reply(text)
        if emit is not None:
            for letter in said:
                await emit(TextDelta(letter))
        return Served(answer(said), route.ranked[0].endpoint, Decimal("0.01"), (), 0.001)


def go(
    planner: Scripted, caller: Any, *, binding: Any = None, notes: Notes | None = None
) -> tuple[Outcome, list[Delta]]:
    """Run a scripted plan and return its outcome with what a client would have seen."""
    seen: list[Delta] = []

    async def emit(delta: Delta) -> None:
        seen.append(delta)

    async def run() -> Outcome:
        flow = Workflow(planner, binding or Everywhere(), caller, Still())
        state = State(request("three plus four"), Features(), (SEOUL,))
        return await flow.run(state, record=notes or Notes(), account=Account(), deadline=None, emit=emit)

    return asyncio.run(run()), seen


CHAIN = Next(
    (
        Step("r1", task="read three"),
        Step("r2", task="read four"),
        Step("c", task="{r1} + {r2} = ?", sees=("r1", "r2")),
    ),
    final="c",
    template="chain",
    live=True,
)


def reading(text: str) -> str:
    return {"read three": " 3 ", "read four": "4", "3 + 4 = ?": "7"}[text]


def test_a_step_is_given_only_the_outputs_it_sees() -> None:
    caller = Speaks(reading)
    outcome, _ = go(Scripted([CHAIN, Stop("c")]), caller)
    assert outcome.answer.text == "7"
    assert caller.prompts[-1] == "3 + 4 = ?"
    blind = Step("x", task="{r1} {zz}", sees=())
    assert blind.render({"r1": "3"}) == "{r1} {zz}"


def test_independent_steps_run_at_once() -> None:
    caller = Speaks(reading)
    go(Scripted([CHAIN, Stop("c")]), caller)
    assert caller.most == 2


def test_a_live_plan_streams_its_final_step_and_nothing_else() -> None:
    _, seen = go(Scripted([CHAIN, Stop("c")]), Speaks(reading))
    assert [d.text for d in seen if isinstance(d, TextDelta)] == ["7"]


def test_an_answer_that_may_be_replaced_is_held_until_the_coordinator_stops() -> None:
    first = Next((Step("s"),), "s", "solve_verify")
    second = Next((Step("v", Role.VERIFIER, task="check {s}", sees=("s",)),), "s", "solve_verify")
    third = Next((Step("s2"),), "s2", "solve_verify")
    replies = iter(["wrong", "REVISE", "right"])
    outcome, seen = go(Scripted([first, second, third, Stop("s2")]), Speaks(lambda _: next(replies)))
    assert outcome.answer.text == "right"
    assert "".join(d.text for d in seen if isinstance(d, TextDelta)) == "right"
    assert isinstance([d for d in seen if isinstance(d, FinishDelta)][0], FinishDelta)
    assert outcome.results[1].review is Review.REVISE


def test_outputs_carry_the_join_of_the_labels_they_saw() -> None:
    binding = Everywhere()
    planner = Scripted([CHAIN, Stop("c")])

    async def run() -> None:
        state = State(request("x").labelled(Label(subjects=frozenset({"KR"}), personal=True)), Features(), (SEOUL,))
        flow = Workflow(planner, binding, Speaks(reading), Still())
        await flow.run(state, record=Notes(), account=Account(), deadline=None, emit=None)

    asyncio.run(run())
    assert all(label.personal and label.subjects == {"KR"} for label in binding.labels.values())


class Refuses(Everywhere):
    """Has no endpoint for one step."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step

    def bind(self, state: State, step: Step, label: Label, left_usd: Decimal | None) -> Route:
        if step.id == self._step:
            raise NoAbleEndpoint("nobody reads")
        return super().bind(state, step, label, left_usd)


def test_a_step_without_an_endpoint_fails_the_steps_that_see_it_and_the_run() -> None:
    notes = Notes()
    with pytest.raises(NoAbleEndpoint, match="nobody reads"):
        go(Scripted([CHAIN, Stop("c")]), Speaks(reading), binding=Refuses("r2"), notes=notes)
    failed = [step for action, step, _ in notes.events if action is Act.STEP_FAILED]
    assert failed == ["r2", "c"]


def test_the_coordinator_sees_a_failure_and_may_do_without() -> None:
    planner = Scripted([CHAIN, Next((Step("d"),), "d", "direct", live=True), Stop("d")])
    caller = Speaks(lambda text: {"three plus four": "7"}.get(text) or reading(text))
    outcome, _ = go(planner, caller, binding=Refuses("r1"))
    assert outcome.answer.text == "7"
    assert planner.states[1].results["r1"].error == "nobody reads"


def test_a_run_that_is_cancelled_cancels_its_steps() -> None:
    cancelled: list[str] = []

    class Hangs:
        async def follow(self, route: Route, prompt: Prompt, *, step: str, **rest: Any) -> Served:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(step)
                raise
            raise AssertionError

    async def run() -> None:
        flow = Workflow(Scripted([CHAIN]), Everywhere(), Hangs(), Still())
        state = State(request("x"), Features(), (SEOUL,))
        task = asyncio.ensure_future(flow.run(state, record=Notes(), account=Account(), deadline=None, emit=None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert sorted(cancelled) == ["r1", "r2"]


def test_a_plan_whose_steps_see_the_future_is_a_bug_that_is_caught() -> None:
    plan = Next((Step("a", sees=("b",)), Step("b")), "b", "chain")
    with pytest.raises(AssertionError, match="does not come before"):
        go(Scripted([plan]), Speaks(reading))


@pytest.mark.parametrize(
    ("text", "review"),
    [
        ("ACCEPT", Review.ACCEPT),
        ("accept.", Review.ACCEPT),
        ("REVISE: the sum is off", Review.REVISE),
        ("**UNSURE**", Review.UNSURE),
        ("I accept this", Review.UNSURE),
        ("", Review.UNSURE),
        ("accepted", Review.UNSURE),
    ],
)
def test_only_a_clear_word_is_a_review(text: str, review: Review) -> None:
    assert review_of(text) is review
