"""Plans: steps that name needs, never endpoints; routes, which bind a step; and what is known when asking for more.

The coordinator is spoken to by ask and tell: `ask(state) -> Next | Stop`, the workflow runs what is asked, adds the
results to the state and asks again once every step asked for has a result. A plan made in one go is the special case
of one `Next` with everything in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from shoal.core.endpoint import Endpoint
from shoal.core.item import Answer
from shoal.core.label import NOTHING, Label
from shoal.core.request import Effort, Request


class Role(StrEnum):
    """The part an endpoint plays in a step."""

    PLANNER = "planner"
    SOLVER = "solver"
    VERIFIER = "verifier"
    JUDGE = "judge"
    SYNTHESISER = "synthesiser"


class Review(StrEnum):
    """A verifier's answer; what cannot be parsed is UNSURE."""

    ACCEPT = "ACCEPT"
    REVISE = "REVISE"
    UNSURE = "UNSURE"


@dataclass(frozen=True, slots=True)
class Need:
    """What an endpoint must bring to a step. `differs_from` names steps whose endpoint and developer it must not share
    where another is able; `endpoints` restricts to named ones (a client that asked for a model by name)."""

    skills: frozenset[str] = frozenset()
    tools: bool = False
    images: bool = False
    json_schema: bool = False
    min_context: int = 0
    differs_from: tuple[str, ...] = ()
    avoid: frozenset[str] = frozenset()
    endpoints: frozenset[str] | None = None
    named: bool = False


_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan.

    `task` is None where the step gets the conversation as it is; otherwise it is the text to send, in which `{id}`
    stands for the output of step `id`, which must be among `sees`. `subject` tells the scorer what is being asked.
    """

    id: str
    role: Role = Role.SOLVER
    task: str | None = None
    need: Need = Need()
    sees: tuple[str, ...] = ()
    skill: str | None = None
    max_tokens: int | None = None

    def render(self, outputs: Mapping[str, str]) -> str | None:
        """Return the task with the outputs filled in; only steps in `sees` are visible."""
        if self.task is None:
            return None
        return _SLOT.sub(lambda m: outputs[m[1]] if m[1] in self.sees else m[0], self.task)


@dataclass(frozen=True, slots=True)
class Term:
    """One number that went into a choice, by name."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """A permitted, able endpoint with the utility it was given and every term of it."""

    endpoint: Endpoint
    utility: float
    belief: float
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an endpoint is not on a route: the mask that took it away (policy, narrowing, capability, ...)."""

    endpoint: str
    mask: str
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """The ordered endpoints for one step, best first, and who was left out and why."""

    ranked: tuple[Ranked, ...]
    objections: tuple[Objection, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints, best first."""
        return tuple(r.endpoint for r in self.ranked)


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a step. `error` is set where no endpoint could run it."""

    step: str
    text: str = ""
    endpoint: str | None = None
    answer: Answer | None = None
    cost_usd: Decimal | None = Decimal(0)
    label: Label = NOTHING
    review: Review | None = None
    error: str | None = None
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Features:
    """What was read off the request without asking any model."""

    language: str | None = None
    subject: str | None = None
    characters: int = 0
    input_tokens: int = 0
    needs: Need = Need()
    notes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class State:
    """Everything the coordinator may know when asked for the next steps: values only, no clock, no service."""

    request: Request
    features: Features
    candidates: tuple[Endpoint, ...]
    effort: Effort = Effort.AUTO
    named: bool = False  # the client asked for a model by name: it is asked directly, whatever it can do
    steps: tuple[Step, ...] = ()
    results: Mapping[str, Result] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Next:
    """Run these steps too; `final` is the one whose output is the answer, `template` the shape, `grounds` the why.

    `live` promises that no later step can replace the answer, so that it may stream to the client as it comes.
    """

    steps: tuple[Step, ...]
    final: str
    template: str
    grounds: tuple[Term, ...] = ()
    live: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is worth asking: the answer is the output of step `final`."""

    final: str
    reason: str = "done"
