"""The gate: when to spend. Chooses between direct, solve-verify and chain by the utility each is predicted to have.

Knows what success, money, waiting and one more call are worth at an effort. Direct is the default; anything else has
to earn its price. Every number compared is among the plan's grounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shoal.coordinator.phrases import NumberQuestion, Phrases
from shoal.coordinator.planner import Link, Plan, chain_links
from shoal.coordinator.review import (
    VERIFY,
    CheckForm,
    chance_checked,
    chance_revised,
    free_id,
    rates_of,
)
from shoal.coordinator.utility import Stakes
from shoal.core.endpoint import Endpoint
from shoal.core.errors import CallerError
from shoal.core.item import Image, Message, OtherPart, ToolCall, ToolResult
from shoal.core.plan import Need, Ranked, Role, State, Step, Term
from shoal.core.request import Effort, Request, Template


class Forecaster(Protocol):
    """Says who would be asked for a step, best first."""

    def __call__(self, state: State, step: Step, rivals: Sequence[Endpoint] = ()) -> tuple[Ranked, ...]:
        """Return the able candidates in order."""


@dataclass(frozen=True, slots=True)
class _Prediction:
    """A plan with its predicted chance of success and what it is worth after money, waiting and calls."""

    plan: Plan
    success: float
    utility: float


@dataclass(frozen=True, slots=True)
class _Check:
    """What checking one link is predicted to change: its chance of success, and what it costs in dollars."""

    form: CheckForm
    success: float
    price_usd: float


def forced_or_plain(state: State) -> Plan | None:
    """Return the direct plan where nothing else is possible or asked for; None where there is something to decide.

    Raises:
        CallerError: another template is insisted on where only direct is possible.
    """
    wanted = state.request.template
    obstacle = "a model asked for by name is asked directly" if state.named else _obstacle(state.request)
    if obstacle is not None and wanted not in (None, Template.DIRECT):
        raise CallerError(
            f"template `{wanted}` is not possible here: {obstacle}; leave `shoal.template` out or set it to `direct`",
            param="shoal.template",
        )
    if obstacle is None and wanted is not Template.DIRECT and (wanted is not None or state.features.needs.skills):
        return None
    if obstacle is None and wanted is None and state.effort is Effort.DEEP:
        return None
    return Plan(Template.DIRECT, (direct_link(state),))


def direct_link(state: State) -> Link:
    """Return the link that sends the conversation as it is."""
    needs = state.features.needs
    if state.named:
        needs = replace(needs, named=True)
    skill = next(iter(needs.skills)) if len(needs.skills) == 1 else None
    return Link(free_id(state.request), needs, skill)


class ModeGate:
    """Predicts what each shape of a run is worth."""

    def __init__(self, phrases: Phrases, best: Forecaster, stakes: Mapping[Effort, Stakes]) -> None:
        self._phrases = phrases
        self._best = best
        self._stakes = stakes

    def plans(self, state: State, question: NumberQuestion | None) -> tuple[Plan, ...]:
        """Return the plans worth trying, the chosen one first; a later one is for when a step is lost for good."""
        wanted = state.request.template
        is_chain = question is not None and question.kind.is_chain
        if wanted is Template.CHAIN and not is_chain:
            raise CallerError(
                "template `chain` is for number questions of several steps, and this is none; "
                "leave `shoal.template` out or use `solve_verify`",
                param="shoal.template",
            )
        found: list[_Prediction] = []
        if wanted is not Template.CHAIN:
            checks = wanted is Template.SOLVE_VERIFY or (wanted is None and state.effort is Effort.DEEP)
            link = direct_link(state)
            found.append(self._predict(state, Template.DIRECT, (link,), checks, forced=wanted is Template.SOLVE_VERIFY))
        if is_chain and question is not None and wanted is not Template.SOLVE_VERIFY:
            links = chain_links(question, self._phrases)
            alone = state.request.is_single_turn  # a rewritten question leaves out whatever else was said
            if wanted is Template.CHAIN or (alone and (state.effort is not Effort.FAST or len(links) == 1)):
                found.append(self._predict(state, Template.CHAIN, links, state.effort is Effort.DEEP))
        compared = tuple(
            Term(f"{p.plan.template}.{name}", value)
            for p in found
            for name, value in (("predicted_success", p.success), ("utility_usd", p.utility))
        )
        ordered = sorted(found, key=lambda p: -p.utility)
        plans = [replace(p.plan, grounds=compared + p.plan.grounds) for p in ordered if p.success > 0.0]
        return tuple(plans) or (found[0].plan,)

    def _predict(
        self, state: State, template: Template, links: tuple[Link, ...], checks: bool, *, forced: bool = False
    ) -> _Prediction:
        stakes = self._stakes[state.effort]
        success, price = 1.0, 0.0
        checked: set[str] = set()
        form = CheckForm.SHORT
        grounds: list[Term] = []
        for link in links:
            step = Step(link.id, task=link.task, need=link.need, skill=link.skill)
            ranked = self._best(state, step)
            if not ranked:
                success = 0.0
                continue
            first = ranked[0]
            chance, price = first.belief, price + _price(first, stakes)
            grounds.append(Term(f"{link.id}.belief", chance))
            check = self._check(state, link, step, first, stakes) if checks else None
            if check is None:
                if forced:
                    raise CallerError(
                        "template `solve_verify` is not possible: no candidate can verify this; "
                        "add another model or leave `shoal.template` out",
                        param="shoal.template",
                    )
            else:
                gain = stakes.success_usd * (check.success - chance)
                grounds += [
                    Term(f"{link.id}.verify.gain_usd", gain),
                    Term(f"{link.id}.verify.price_usd", check.price_usd),
                ]
                if forced or gain > check.price_usd:
                    checked.add(link.id)
                    form = check.form
                    chance, price = check.success, price + check.price_usd
            success *= chance
        if checked and template is Template.DIRECT:
            template = Template.SOLVE_VERIFY
        plan = Plan(template, links, frozenset(checked), form, tuple(grounds))
        return _Prediction(plan, success, stakes.success_usd * success - price)

    def _check(self, state: State, link: Link, step: Step, first: Ranked, stakes: Stakes) -> _Check | None:
        """Predict what a verifier would change about a link, or None where nobody could be one."""
        if link.skill is not None and link.skill != "mixed":
            need = Need(skills=frozenset({VERIFY}))
            judges = self._best(state, Step("v", Role.VERIFIER, "", need, skill=VERIFY), (first.endpoint,))
            if judges:
                elsewhere = replace(step, need=replace(step.need, avoid=frozenset({first.endpoint.id})))
                others = self._best(state, elsewhere)
                rates = rates_of(judges[0].endpoint, judges[0].belief)
                success, doubt = chance_checked(first.belief, others[0].belief if others else 0.0, rates)
                again = _price(others[0], stakes) + _price(judges[0], stakes) if others else 0.0
                return _Check(CheckForm.SHORT, success, _price(judges[0], stakes) + doubt * again)
        if link.task is not None:
            return None
        judge_need = Need(min_context=step.need.min_context)
        judges = self._best(state, Step("v", Role.VERIFIER, "", judge_need), (first.endpoint,))
        if not judges:
            return None
        success, doubt = chance_revised(first.belief, rates_of(judges[0].endpoint, judges[0].belief))
        return _Check(CheckForm.TEXT, success, _price(judges[0], stakes) + doubt * _price(first, stakes))


def _price(ranked: Ranked, stakes: Stakes) -> float:
    """Return what asking costs: money, waiting, and one more call that can go wrong."""
    terms = {term.name: term.value for term in ranked.terms}
    return terms["cost_usd"] + terms["latency_usd"] + stakes.call_usd


def _obstacle(request: Request) -> str | None:
    """Return what makes a conversation one for a single endpoint, or None."""
    sampling = request.prompt.sampling
    if request.prompt.tools:
        return "the request brings tools"
    if sampling.n > 1:
        return "several choices are asked for (`n`)"
    if sampling.logprobs:
        return "log-probabilities are asked for"
    if sampling.response_format is not None and sampling.response_format.get("type") != "text":
        return "a response format is asked for"
    for item in request.prompt.items:
        if isinstance(item, ToolCall | ToolResult):
            return "the conversation holds tool calls"
        if isinstance(item, Message) and any(isinstance(part, Image | OtherPart) for part in item.parts):
            return "the conversation holds more than text"
    return None
