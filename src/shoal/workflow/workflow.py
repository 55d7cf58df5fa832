"""The workflow: runs what the coordinator asks for, step by step, until it says stop.

Steps whose `sees` are complete run at once. A step is bound when it starts, not when it is planned, so an endpoint
that vanished in between is simply not on its route. The workflow owns the text already sent to the client: only the
final step of a plan that promised to be `live` streams; everything else is released once the coordinator stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Protocol

from shoal.core.attempt import Emit, Served
from shoal.core.budget import Account
from shoal.core.clock import Clock
from shoal.core.endpoint import Endpoint
from shoal.core.errors import DeadlineSpent, NoAbleEndpoint, ShoalError, StreamLost
from shoal.core.event import Act, Record
from shoal.core.item import (
    Answer,
    Delta,
    FinishDelta,
    Item,
    LogprobsDelta,
    Message,
    Producer,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    ServedDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    UsageDelta,
    say,
)
from shoal.core.label import Label
from shoal.core.plan import Next, Result, Review, Role, Route, State, Step, Stop, Term
from shoal.core.request import Prompt, Sampling
from shoal.core.selector import Narrowing

MAX_STEPS = 16
MAX_ASKS = 16


class Planner(Protocol):
    """The coordinator, by ask and tell."""

    def ask(self, state: State) -> Next | Stop:
        """Return the next steps, or the step whose output is the answer."""


class Binding(Protocol):
    """Turns a step into a route at the moment it starts."""

    def bind(self, state: State, step: Step, label: Label, left_usd: Decimal | None) -> Route:
        """Return the route, or raise why there is none."""


class Caller(Protocol):
    """Follows a route. The pool is the real caller; a test brings its own."""

    async def follow(
        self,
        route: Route,
        prompt: Prompt,
        *,
        step: str,
        record: Record,
        account: Account,
        narrowing: Narrowing,
        deadline: float | None,
        emit: Emit | None,
    ) -> Served:
        """Return the first answer along the route, or raise why there is none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended well: the answer, the plan's shape and every result on the way."""

    answer: Answer
    final: Result
    template: str
    steps: tuple[Step, ...]
    results: tuple[Result, ...]
    reason: str


class Workflow:
    """Runs plans; holds no state between runs."""

    def __init__(self, planner: Planner, binding: Binding, caller: Caller, clock: Clock) -> None:
        self._planner = planner
        self._binding = binding
        self._caller = caller
        self._clock = clock

    async def run(
        self, state: State, *, record: Record, account: Account, deadline: float | None, emit: Emit | None
    ) -> Outcome:
        """Run a request to its answer.

        Raises:
            ShoalError: what stopped the step that the answer needed.
        """
        run = _Run(self._binding, self._caller, self._clock, record, account, deadline, emit)
        template = "direct"
        for _ in range(MAX_ASKS):
            decision = self._planner.ask(state)
            if isinstance(decision, Stop):
                return await run.stop(state, decision, template)
            template = decision.template
            _check(state, decision)
            record.event(Act.RUN_PLANNED, _plan_data(decision))
            state = replace(state, steps=state.steps + decision.steps)
            state = await run.complete(state, decision)
        raise NoAbleEndpoint(f"the plan did not come to an end within {MAX_ASKS} rounds")


class _Run:
    """One run in flight: what it may spend, where its events go, what its client has already seen."""

    def __init__(
        self,
        binding: Binding,
        caller: Caller,
        clock: Clock,
        record: Record,
        account: Account,
        deadline: float | None,
        emit: Emit | None,
    ) -> None:
        self._binding = binding
        self._caller = caller
        self._clock = clock
        self._record = record
        self._account = account
        self._deadline = deadline
        self._emit = emit
        self._streamed: str | None = None  # the step whose text went to the client as it came
        self._errors: dict[str, ShoalError] = {}

    async def complete(self, state: State, plan: Next) -> State:
        """Run every step of `plan` that can run; return the state with their results."""
        waiting = {step.id: step for step in plan.steps}
        running: dict[asyncio.Task[Result], Step] = {}
        results = dict(state.results)
        try:
            while waiting or running:
                for step in [s for s in waiting.values() if all(seen in results for seen in s.sees)]:
                    del waiting[step.id]
                    broken = [seen for seen in step.sees if results[seen].error is not None]
                    if broken:
                        results[step.id] = self._skip(step, broken[0])
                        continue
                    now = replace(state, results=MappingProxyType(dict(results)))
                    live = plan.live and step.id == plan.final
                    running[asyncio.ensure_future(self._step(now, step, live))] = step
                if running:
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        step = running.pop(task)
                        results[step.id] = task.result()
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
        return replace(state, results=MappingProxyType(results))

    async def stop(self, state: State, stop: Stop, template: str) -> Outcome:
        """Return the outcome, releasing a held answer to the client; raise if the final step has none."""
        final = state.results[stop.final]
        if final.answer is None:
            raise self._errors[stop.final]
        if self._emit is not None and self._streamed != stop.final:
            for delta in deltas_of(final.answer):
                await self._emit(delta)
        results = tuple(state.results[step.id] for step in state.steps if step.id in state.results)
        return Outcome(final.answer, final, template, state.steps, results, stop.reason)

    async def _step(self, state: State, step: Step, live: bool) -> Result:
        seen = [state.results[s] for s in step.sees]
        label = state.request.prompt.label
        for result in seen:
            label = label.join(result.label)
        started = self._clock.monotonic()
        try:
            self._check_time()
            route = self._binding.bind(state, step, label, self._account.left_usd)
            self._record.event(Act.STEP_BOUND, _route_data(step, route), step=step.id)
            prompt = _prompt(state, step, label, {r.step: r.text for r in seen})
            emit = self._emit if live else None
            if emit is not None:
                self._streamed = step.id
            served = await self._caller.follow(
                route,
                prompt,
                step=step.id,
                record=self._record,
                account=self._account,
                narrowing=state.request.narrowing,
                deadline=self._deadline,
                emit=emit,
            )
        except StreamLost:
            raise
        except ShoalError as error:
            self._errors[step.id] = error
            self._record.event(
                Act.STEP_FAILED, {"code": error.code, "error": self._record.body(error.message)}, step=step.id
            )
            return Result(step.id, error=error.message, label=label, cost_usd=None)
        return self._result(step, served, label, self._clock.monotonic() - started)

    def _result(self, step: Step, served: Served, label: Label, latency_s: float) -> Result:
        answer = _produced(served.answer, served.endpoint, step.id)
        text = answer.text.strip()
        self._record.event(
            Act.STEP_FINISHED,
            {"endpoint": served.endpoint.id, "output": self._record.body(text), "attempts": len(served.attempts)},
            step=step.id,
        )
        review = None
        if step.role is Role.VERIFIER:
            review = review_of(text)
            self._record.event(Act.STEP_REVIEWED, {"review": str(review)}, step=step.id)
        return Result(
            step.id,
            text=text,
            endpoint=served.endpoint.id,
            answer=answer,
            cost_usd=served.cost_usd,
            label=label,
            review=review,
            latency_s=latency_s,
        )

    def _skip(self, step: Step, broken: str) -> Result:
        error = self._errors[broken]
        self._errors[step.id] = error
        self._record.event(
            Act.STEP_FAILED,
            {"code": error.code, "error": self._record.body(f"step `{broken}` has no output")},
            step=step.id,
        )
        return Result(step.id, error=error.message)

    def _check_time(self) -> None:
        if self._deadline is not None and self._clock.monotonic() >= self._deadline:
            raise DeadlineSpent


def review_of(text: str) -> Review:
    """Return a verifier's review; anything that does not begin with one of the three words is UNSURE."""
    words = text.split(maxsplit=1)
    word = words[0].strip(".:,!*`\"'").upper() if words else ""
    return Review(word) if word in Review.__members__ else Review.UNSURE


def deltas_of(answer: Answer) -> list[Delta]:
    """Return an answer as the deltas that would have streamed it."""
    deltas: list[Delta] = [ServedDelta(answer.served_model, answer.fingerprint)]
    for choice in answer.choices:
        calls = 0
        for item in choice.items:
            match item:
                case Reasoning(text=text):
                    deltas.append(ReasoningDelta(text, choice.index))
                case Message():
                    deltas.extend(TextDelta(p.text, choice.index) for p in item.parts if isinstance(p, Text) and p.text)
                    if item.refusal:
                        deltas.append(RefusalDelta(item.refusal, choice.index))
                case ToolCall(call_id=call_id, name=name, arguments=arguments):
                    deltas.append(ToolCallDelta(calls, call_id, name, arguments, choice.index))
                    calls += 1
                case _:
                    pass
        if choice.logprobs:
            deltas.append(LogprobsDelta(choice.logprobs, choice.index))
        deltas.append(FinishDelta(choice.finish, choice.index))
    deltas.append(UsageDelta(answer.usage))
    return deltas


def _check(state: State, plan: Next) -> None:
    """Raise unless the steps' ids are new and unique, `sees` points backwards and the final step exists."""
    known = {step.id for step in state.steps}
    if len(known) + len(plan.steps) > MAX_STEPS:
        raise NoAbleEndpoint(f"the plan asks for more than {MAX_STEPS} steps")
    for step in plan.steps:
        assert step.id not in known, f"step `{step.id}` was asked for twice"
        assert known.issuperset(step.sees), f"step `{step.id}` sees a step that does not come before it"
        known.add(step.id)
    assert plan.final in known, f"the final step `{plan.final}` is not in the plan"
    assert plan.steps, "an empty plan would wait for ever"


def _prompt(state: State, step: Step, label: Label, outputs: dict[str, str]) -> Prompt:
    whole = state.request.prompt
    task = step.render(outputs)
    if task is None:
        return replace(whole, label=label)
    sampling = Sampling(max_tokens=step.max_tokens, temperature=0.0, seed=whole.sampling.seed)
    return Prompt(items=(say(task),), sampling=sampling, label=label, user=whole.user)


def _produced(answer: Answer, endpoint: Endpoint, step: str) -> Answer:
    """Return the answer with its producer on every item that can carry one."""
    producer = Producer(endpoint.id, endpoint.model.id, step)

    def stamped(item: Item) -> Item:
        return item if isinstance(item, ToolResult) else replace(item, producer=producer)

    choices = tuple(replace(c, items=tuple(stamped(item) for item in c.items)) for c in answer.choices)
    return replace(answer, choices=choices)


def _terms(terms: Sequence[Term]) -> dict[str, float]:
    return {term.name: round(term.value, 6) for term in terms}


def _plan_data(plan: Next) -> dict[str, Any]:
    steps = [
        {
            "id": s.id,
            "role": str(s.role),
            "sees": list(s.sees),
            "skill": s.skill,
            "needs": sorted(s.need.skills),
            "differs_from": list(s.need.differs_from),
        }
        for s in plan.steps
    ]
    return {"template": plan.template, "final": plan.final, "steps": steps, "grounds": _terms(plan.grounds)}


def _route_data(step: Step, route: Route) -> dict[str, Any]:
    return {
        "role": str(step.role),
        "route": [
            {
                "endpoint": r.endpoint.id,
                "utility": round(r.utility, 6),
                "belief": round(r.belief, 4),
                "terms": _terms(r.terms),
            }
            for r in route.ranked
        ],
        "objections": [{"endpoint": o.endpoint, "mask": o.mask, "reason": o.reason} for o in route.objections],
    }
