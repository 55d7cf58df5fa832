"""The main path: one request from front door to ledger, readable in one sitting.

    label -> candidates -> verdicts -> able ones -> coordinator and workflow -> reply, and the journal hears of it all

`answer` gives a whole reply, `stream` the same run as deltas. Both go through `_serve`, which is the path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from shoal.coordinator.coordinator import NOT_NUMBERS
from shoal.core.attempt import Emit
from shoal.core.budget import Account
from shoal.core.clock import Clock
from shoal.core.endpoint import Endpoint
from shoal.core.errors import LedgerUnavailable, NoAbleEndpoint, ShoalError
from shoal.core.event import Act, Event, Record
from shoal.core.item import Answer, Delta, Usage
from shoal.core.label import Label
from shoal.core.plan import Features, Need, Result, State, Step
from shoal.core.request import Effort, Prompt, Request
from shoal.core.selector import Narrowing
from shoal.core.verdict import Verdict
from shoal.workflow.binding import Judge, nothing_permitted
from shoal.workflow.workflow import Outcome

T = TypeVar("T", float, Decimal)
QUEUE = 256  # deltas between a run and its reader; a slow reader holds the run back
JOURNAL_DOWN = "the journal cannot be written, so no new request is taken; see the log and the disk"
PRACTICE_ONLY = f"{NOT_NUMBERS} to ask anything else"


class Selected(Protocol):
    """What a client's word for a model stands for."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]: ...
    @property
    def effort(self) -> Effort | None: ...
    @property
    def named(self) -> bool: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def narrowing(self) -> Narrowing: ...
    @property
    def budget_usd(self) -> Decimal | None: ...
    @property
    def deadline_s(self) -> float | None: ...


class Resolver(Protocol):
    """The catalogue's snapshot of the pool."""

    @property
    def version(self) -> str: ...
    def resolve(self, name: str) -> Selected: ...


class Labeller(Protocol):
    """Finds what the law must know of a request."""

    def of(self, request: Request) -> Label: ...


class Policy(Judge, Protocol):
    """Judges, and has a version that every trace names."""

    @property
    def version(self) -> str: ...


class Reader(Protocol):
    """Reads off a request what needs no model."""

    def features(self, request: Request) -> Features: ...
    def unable(self, endpoint: Endpoint, need: Need, features: Features) -> str | None: ...


class Runner(Protocol):
    """Runs a request to its answer."""

    async def run(
        self, state: State, *, record: Record, account: Account, deadline: float | None, emit: Emit | None
    ) -> Outcome: ...


class Journal(Protocol):
    """The ledger's side of a run."""

    @property
    def healthy(self) -> bool: ...
    def record(self, run: str, tenant_id: str) -> Record: ...
    async def ready(self) -> None: ...
    async def flush(self, run: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an operator lets a request spend when it does not say."""

    budget_usd: Decimal | None = None
    deadline_s: float | None = 120.0


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished run: the answer, what it cost and who served it."""

    answer: Answer
    run: str
    mode: str
    served_by: str
    policy: str
    usage_total: Usage
    cost_usd: Decimal | None
    usage_shoal: Mapping[str, Any]
    explain: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Pen:
    """A record that also notes what headers and usage say, and keeps the events where the client wants them told.

    `usage` and `cost_usd` are of every attempt, also of those that failed; the cost is None once one is unknown.
    """

    inner: Record
    clock: Clock
    request: Request
    events: list[Event] = field(default_factory=list)
    texts: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    usage: Usage = Usage()
    cost_usd: Decimal | None = Decimal(0)
    mode: str = "direct"
    served_by: str = ""

    def event(
        self, action: Act, data: Mapping[str, Any] | None = None, *, step: str | None = None, attempt: int | None = None
    ) -> None:
        """Hand the event on, and note what the client's headers will say."""
        self.inner.event(action, data, step=step, attempt=attempt)
        known = data or {}
        if action is Act.RUN_PLANNED:
            self.mode = known["template"]
        elif action is Act.ATTEMPT_STARTED:
            self.calls += 1
            self.served_by = known["endpoint"]
        elif action in (Act.ATTEMPT_SUCCEEDED, Act.ATTEMPT_FAILED):
            self.usage += Usage(**known["usage"])
            cost = known["cost_usd"]
            self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost
        if self.request.explain:
            request, number = self.request, len(self.events)
            self.events.append(
                Event(request.tenant, request.run, number, action, self.clock.now(), step, attempt, known)
            )

    def spent(self) -> dict[str, Any]:
        """Return what the run has used so far, as its last event says it."""
        return {"cost_usd": self.cost_usd, "input_tokens": self.usage.input, "output_tokens": self.usage.output}

    def body(self, value: Any) -> str:
        """Hand the body on, and keep it at hand where the client wants the run told."""
        name = self.inner.body(value)
        if self.request.explain:
            self.texts[name] = value
        return name

    def fail(self, code: str, status: int, message: str) -> None:
        """Note how the run failed; the message is a body, since a provider's own words may repeat the prompt."""
        self.event(Act.RUN_FAILED, {"code": code, "status": status, "error": self.body(message)} | self.spent())


class Pipeline:
    """Answers requests. Every service it needs is handed in by the assembly."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        labeller: Labeller,
        policy: Policy,
        reader: Reader,
        runner: Runner,
        journal: Journal,
        clock: Clock,
        defaults: Defaults,
        view: Callable[[Sequence[Event], Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self.resolver = resolver
        self._labeller = labeller
        self._policy = policy
        self._reader = reader
        self._runner = runner
        self._journal = journal
        self._clock = clock
        self._defaults = defaults
        self._view = view

    async def answer(self, request: Request) -> Completed:
        """Serve one request whole, or raise the error that says why not; the journal hears of both."""
        pen = self._pen(request)
        async with self._story(request, pen):
            return await self._serve(request, pen, None)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Streaming]:
        """Serve one request as deltas; leaving early cancels the run and everything upstream of it."""
        pen = self._pen(request)
        streaming = Streaming(pen, self._policy.version)

        async def run() -> Completed:
            async with self._story(request, pen):
                return await self._serve(request, pen, streaming.put)

        task = asyncio.ensure_future(run())
        streaming.follow(task)
        try:
            yield streaming
        finally:
            if not task.done():
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # seen: the reader was told, or has left

    async def _serve(self, request: Request, pen: Pen, emit: Emit | None) -> Completed:
        """The path of one request."""
        await self._admit()
        pen.event(Act.RUN_STARTED, self._opening(request, pen))
        request = request.labelled(self._labeller.of(request))
        label = request.prompt.label
        pen.event(Act.RUN_LABELLED, {"label": label.as_dict()})
        selected = self.resolver.resolve(request.model)
        request = _profiled(request, selected)
        verdicts = self._policy.judge_all(selected.endpoints, label, request.narrowing)
        pen.event(Act.RUN_JUDGED, self._judged(verdicts))
        permits = tuple(e for e, v in zip(selected.endpoints, verdicts, strict=True) if v.is_permit)
        if not permits:
            raise nothing_permitted(request.run, verdicts, label)
        features = self._reader.features(request)
        asked_by_name = selected.named and selected.profile is None
        if not asked_by_name:
            self._require_able(permits, features)
        effort = request.effort if selected.effort in (None, Effort.AUTO) else selected.effort
        state = State(request, features, permits, effort, asked_by_name)
        account = Account(request.budget_usd if request.budget_usd is not None else self._defaults.budget_usd)
        outcome = await self._runner.run(
            state, record=pen, account=account, deadline=self._deadline(request), emit=emit
        )
        return self._completed(request, pen, outcome)

    @asynccontextmanager
    async def _story(self, request: Request, pen: Pen) -> AsyncIterator[None]:
        """Give the run an ending in the journal, whatever happens inside."""
        try:
            yield
        except asyncio.CancelledError:
            pen.event(Act.RUN_CANCELLED, {"reason": "the client left", **pen.spent()})
            raise
        except ShoalError as error:
            pen.fail(error.code, error.status, error.message)
            raise
        except Exception as error:
            pen.fail("internal_error", 500, type(error).__name__)
            raise
        finally:
            if self._journal.healthy:
                await asyncio.shield(self._journal.flush(request.run))

    async def _admit(self) -> None:
        if not self._journal.healthy:
            raise LedgerUnavailable(JOURNAL_DOWN)
        await self._journal.ready()

    def _pen(self, request: Request) -> Pen:
        return Pen(self._journal.record(request.run, request.tenant), self._clock, request)

    def _deadline(self, request: Request) -> float | None:
        seconds = request.deadline_s if request.deadline_s is not None else self._defaults.deadline_s
        return None if seconds is None else self._clock.monotonic() + seconds

    def _opening(self, request: Request, pen: Pen) -> dict[str, Any]:
        return {
            "model": request.model,
            "effort": str(request.effort),
            "stream": request.stream,
            "prompt": pen.body(prompt_body(request.prompt)),
            "pool": self.resolver.version,
            "policy": self._policy.version,
            "owner": request.owner,
        }

    def _judged(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        return {
            "permitted": [v.endpoint for v in verdicts if v.is_permit],
            "refused": [v.as_dict() for v in verdicts if not v.is_permit],
        }

    def _require_able(self, permits: Sequence[Endpoint], features: Features) -> None:
        """Raise early, with the way out, when a practice pool is asked what it was never taught."""
        if all(e.practice for e in permits):
            reasons = [self._reader.unable(e, features.needs, features) for e in permits]
            if None not in reasons and not features.needs.skills:
                raise NoAbleEndpoint(PRACTICE_ONLY)

    def _completed(self, request: Request, pen: Pen, outcome: Outcome) -> Completed:
        usage, cost = pen.usage, pen.cost_usd
        served_by = outcome.final.endpoint or ""
        shoal = {
            "run": request.run,
            "mode": outcome.template,
            "served_by": served_by,
            "cost_usd": None if cost is None else format(cost, "f"),
            "calls": pen.calls,
            "steps": [_step_usage(step, result) for step, result in _paired(outcome)],
        }
        pen.event(
            Act.RUN_FINISHED,
            {
                "mode": outcome.template,
                "served_by": served_by,
                **pen.spent(),
                "answer": pen.body(outcome.answer.text),
                "reason": outcome.reason,
            },
        )
        explain = self._view(pen.events, pen.texts) if request.explain else None
        return Completed(
            outcome.answer, request.run, outcome.template, served_by, self._policy.version, usage, cost, shoal, explain
        )


def _profiled(request: Request, selected: Selected) -> Request:
    """Return the request under its profile as well: narrower, and with the smaller of both bounds."""
    narrowing = Narrowing(
        request.narrowing.only + selected.narrowing.only, request.narrowing.exclude + selected.narrowing.exclude
    )
    return replace(
        request,
        narrowing=narrowing,
        budget_usd=_least(request.budget_usd, selected.budget_usd),
        deadline_s=_least(request.deadline_s, selected.deadline_s),
    )


def _least(*bounds: T | None) -> T | None:
    known = [bound for bound in bounds if bound is not None]
    return min(known, default=None)


def _paired(outcome: Outcome) -> list[tuple[Step, Result]]:
    by_id = {result.step: result for result in outcome.results}
    return [(step, by_id[step.id]) for step in outcome.steps if step.id in by_id]


def _step_usage(step: Step, result: Result) -> dict[str, Any]:
    usage = result.answer.usage if result.answer is not None else Usage()
    return {
        "id": step.id,
        "role": str(step.role),
        "endpoint": result.endpoint,
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cost_usd": None if result.cost_usd is None else format(result.cost_usd, "f"),
        **({"review": str(result.review)} if result.review is not None else {}),
        **({"error": result.error} if result.error is not None else {}),
    }


def prompt_body(prompt: Prompt) -> dict[str, Any]:
    """Return what the journal keeps of a prompt: items and tools, in plain values."""
    return {"items": [_plain(item) for item in prompt.items], "tools": [dict(tool.raw) for tool in prompt.tools]}


def _plain(value: Any) -> Any:
    """Return slotted values as plain ones, without producers and labels, which events carry."""
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    slots = getattr(type(value), "__slots__", None)
    if slots is None or isinstance(value, str):
        return value
    kept = {name: _plain(getattr(value, name)) for name in slots if name not in ("producer", "label")}
    return {"kind": type(value).__name__.lower(), **{k: v for k, v in kept.items() if v is not None}}


class Streaming:
    """A run being streamed: iterate for its deltas; `completed` is there once they have ended."""

    def __init__(self, pen: Pen, policy: str) -> None:
        self._pen = pen
        self.policy = policy
        self._queue: asyncio.Queue[Delta | None] = asyncio.Queue(QUEUE)
        self._task: asyncio.Task[Completed] | None = None

    @property
    def run(self) -> str:
        """The run's id."""
        return self._pen.request.run

    @property
    def mode(self) -> str:
        """The plan's shape, known with the first delta."""
        return self._pen.mode

    @property
    def served_by(self) -> str:
        """The endpoint that answers, known with the first delta."""
        return self._pen.served_by

    @property
    def completed(self) -> Completed:
        """How the run ended; only after the last delta."""
        assert self._task is not None
        return self._task.result()

    async def put(self, delta: Delta) -> None:
        """Take a delta from the run; waits while the reader is slow."""
        await self._queue.put(delta)

    def follow(self, task: asyncio.Task[Completed]) -> None:
        """Read until `task` has ended."""
        self._task = task
        task.add_done_callback(lambda _: self._wake())

    def _wake(self) -> None:
        if not self._queue.full():
            self._queue.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self._deltas()

    async def _deltas(self) -> AsyncIterator[Delta]:
        assert self._task is not None
        while True:
            if self._queue.empty() and self._task.done():
                self._task.result()  # raises what ended the run
                return
            delta = await self._queue.get()
            if delta is not None:
                yield delta
