"""The rule planner: which steps answer a question, in which order, and what follows from what came out of them.

Knows the shapes direct, solve-verify and chain. It names language, operation and split of a number question; the
operands travel through it as they were written, and no output is ever read as a number. Plans name skills, never
endpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shoal.coordinator.phrases import DIGITS, Kind, NumberQuestion, Phrases, is_spelled_in_digits
from shoal.coordinator.review import CheckForm, check_step, read_review, redo_step
from shoal.core.plan import Need, Next, Result, Review, Role, State, Step, Stop, Term
from shoal.core.request import Template

MAX_STEPS = 12
CHECK, REDO, RECHECK = "_v", "_b", "_bv"


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a plan before it is known whose output it will see; `{id}` in `task` stands for another link."""

    id: str
    need: Need
    skill: str | None = None
    task: str | None = None
    sees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Links in order, the last one answering; `checked` are those whose output a verifier sees before it is used."""

    template: Template
    links: tuple[Link, ...]
    checked: frozenset[str] = frozenset()
    form: CheckForm = CheckForm.SHORT
    grounds: tuple[Term, ...] = ()

    @property
    def last(self) -> Link:
        """The link that answers."""
        return self.links[-1]


@dataclass(frozen=True, slots=True)
class Failed:
    """The plan cannot go on: `step` has no output, or there was no room to begin."""

    step: str | None


Prefer = Callable[[str, str], str]
"""Given two steps whose outputs disagree, returns the one believed more."""


def chain_links(question: NumberQuestion, phrases: Phrases) -> tuple[Link, ...]:
    """Return the links that answer a chain: read the operands, compute, and write where words are asked for."""
    links: list[Link] = []
    operands: list[str] = []
    named: dict[str, str] = {}
    for part in question.parts:
        if question.language == DIGITS or is_spelled_in_digits(part):
            operands.append(part)
            continue
        if part not in named:
            named[part] = f"r{len(named) + 1}"
            skill = f"read:{question.language}"
            task = phrases.ask_read(question.language, part)
            links.append(Link(named[part], Need(skills=frozenset({skill})), skill, task))
        operands.append(f"{{{named[part]}}}")
    assert question.operation is not None, "a chain has an operation"
    sees = tuple(dict.fromkeys(named.values()))
    task = phrases.ask_operation(question.operation, operands[0], operands[1])
    links.append(Link("c", Need(skills=frozenset({question.operation})), question.operation, task, sees))
    if question.kind is not Kind.EXPRESSION_TO_DIGITS:
        skill = f"write:{question.language}"
        links.append(
            Link("w", Need(skills=frozenset({skill})), skill, phrases.ask_write(question.language, "{c}"), ("c",))
        )
    return tuple(links)


def advance(plan: Plan, state: State, prefer: Prefer) -> Next | Stop | Failed:
    """Return the steps that can start now, the end, or the step that broke the plan."""
    known = {step.id for step in state.steps}
    spare = MAX_STEPS - len(known) - _still_due(plan, known)
    outputs: dict[str, str] = {}  # link -> the step whose output stands for it
    new: list[Step] = []
    for link in plan.links:
        if any(seen not in outputs for seen in link.sees):
            continue
        if link.id not in known:
            step = _start(link, outputs)
            new.append(step)
            if link.id in plan.checked:
                new.append(check_step(plan.form, step, link.id + CHECK, link.id, state.request))
            else:
                outputs[link.id] = link.id  # nothing will replace it, so that what follows may be asked at once
            continue
        if state.results[link.id].error is not None:
            return Failed(link.id)
        settled = _settle(plan, link, state, known, prefer, spare)
        if isinstance(settled, Step):
            new.append(settled)
            spare -= 2
        else:
            outputs[link.id] = settled
    if not new:
        return Stop(outputs[plan.last.id])
    if len(known) + len(new) > MAX_STEPS:
        return Failed(None)
    answers = [step.id for step in (*state.steps, *new) if step.role is Role.SOLVER]
    asked = {step.id for step in new}
    live = plan.last.id in asked and plan.last.id not in plan.checked
    grounds = plan.grounds if plan.links[0].id in asked else ()
    return Next(tuple(new), plan.last.id if live else answers[-1], str(plan.template), grounds, live)


def _still_due(plan: Plan, known: set[str]) -> int:
    wanted = [link.id for link in plan.links] + [link + CHECK for link in plan.checked]
    return sum(step not in known for step in wanted)


def _start(link: Link, outputs: dict[str, str]) -> Step:
    task = link.task
    if task is not None:
        for seen in link.sees:
            task = task.replace(f"{{{seen}}}", f"{{{outputs[seen]}}}")
    return Step(link.id, task=task, need=link.need, sees=tuple(outputs[seen] for seen in link.sees), skill=link.skill)


def _settle(plan: Plan, link: Link, state: State, known: set[str], prefer: Prefer, spare: int) -> str | Step:
    """Return the step whose output stands for `link`, or the one step more that is needed to tell."""
    check, redo, recheck = link.id + CHECK, link.id + REDO, link.id + RECHECK
    if check not in known or _review(state.results.get(check)) is not Review.REVISE:
        return link.id
    first = next(step for step in state.steps if step.id == link.id)
    if redo not in known:
        if spare < 2:
            return link.id
        return redo_step(plan.form, first, redo, check, state)
    second = state.results[redo]
    if second.error is not None or _same(second.text, state.results[link.id].text):
        return link.id
    if plan.form is CheckForm.TEXT:  # it saw the critique: that is the one revision
        return redo
    if recheck not in known:
        step = next(step for step in state.steps if step.id == redo)
        return check_step(plan.form, step, recheck, redo, state.request)
    if _review(state.results.get(recheck)) is Review.ACCEPT:
        return redo
    return prefer(link.id, redo)


def _review(result: Result | None) -> Review:
    """Return a verifier's review; a verifier that was lost is unsure."""
    if result is None or result.error is not None:
        return Review.UNSURE
    return result.review if result.review is not None else read_review(result.text)


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
