"""Endpoints for the coordinator's tests: a small practice pool, and general models with few facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from shoal.coordinator import Coordinator
from shoal.core.endpoint import Endpoint, Model, Rating
from shoal.core.item import say
from shoal.core.money import Price
from shoal.core.plan import Next, Result, Role, State, Step, Stop
from shoal.core.request import Effort, Prompt, Request

COORDINATOR = Coordinator()


def practice(name: str, skills: tuple[str, ...], right: int, country: str = "JP", asked: int = 500) -> Endpoint:
    return Endpoint(
        id=f"practice/{name}",
        provider="practice",
        native_name=name,
        model=Model(id=f"practice/{name}", developer=f"lab of {name}", developer_country=country),
        base_url="http://127.0.0.1:1",
        price=Price(Decimal(1), Decimal(4)),
        skills=frozenset(skills),
        card={skill: (right, asked) for skill in skills},
        practice=True,
    )


JA = ("read:ja", "write:ja")
CALC = ("add", "subtract", "multiply")
PRACTICE = (
    practice("ja-first", JA, 496),
    practice("ja-second", JA, 450, "KR"),
    practice("calc-first", CALC, 499, "DE"),
    practice("calc-second", CALC, 450, "FR"),
    practice("generalist", (*JA, *CALC, "mixed"), 150, "US"),
    practice("verifier", ("verify",), 480, "CH"),
)


def general(name: str, *, developer: str | None = None, rating: float | None = None, **facts: Any) -> Endpoint:
    price = facts.pop("price", Price(Decimal(1), Decimal(2)))
    ratings = {} if rating is None else {"overall": Rating(rating, rating - 15, rating + 15)}
    model = Model(id=f"{name}/{name}", developer=developer or name, ratings=ratings, **facts)
    return Endpoint(id=f"{name}/model", provider=name, native_name="model", model=model, base_url="", price=price)


def ask_for(text: str, **fields: Any) -> Request:
    return Request(run="run_1", model="shoal", prompt=Prompt((say(text),)), **fields)


def state_of(request: Request, pool: tuple[Endpoint, ...], effort: Effort = Effort.AUTO, **fields: Any) -> State:
    return State(request, COORDINATOR.features(request), pool, effort, **fields)


def follow(
    state: State, said: Mapping[str, str] | Callable[[Step, Mapping[str, str]], str]
) -> tuple[Stop, State, list[Next]]:
    """Run a plan as the workflow does; `said` gives each step's output. Steps nobody is able to do fail."""
    asked: list[Next] = []
    for _ in range(16):
        decision = COORDINATOR.ask(state)
        if isinstance(decision, Stop):
            return decision, state, asked
        asked.append(decision)
        known = {step.id for step in state.steps}
        assert decision.steps and known.isdisjoint(step.id for step in decision.steps)
        state = replace(state, steps=state.steps + decision.steps)
        for step in decision.steps:
            assert set(step.sees) <= set(state.results), "steps must come after what they see"
            state = replace(state, results={**state.results, step.id: _result(state, step, said)})
    raise AssertionError("the coordinator never stopped")


def _result(state: State, step: Step, said: Mapping[str, str] | Callable[[Step, Mapping[str, str]], str]) -> Result:
    if any(state.results[seen].error for seen in step.sees):
        return Result(step.id, error="nothing to see")
    able = [
        e
        for e in state.candidates
        if e.id not in step.need.avoid and COORDINATOR.unable(e, step.need, state.features) is None
    ]
    ranked = COORDINATOR.rank(state, step, able, {})
    if not ranked:
        return Result(step.id, error="no able endpoint")
    outputs = {seen: state.results[seen].text for seen in step.sees}
    if callable(said):
        text = said(step, outputs)
    else:
        text = said.get(step.id, "ACCEPT" if step.role is Role.VERIFIER else f"<{step.id}>")
    return Result(step.id, text=text, endpoint=ranked[0].endpoint.id)
