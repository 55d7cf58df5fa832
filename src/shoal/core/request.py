"""A request as every room sees it, whichever front door it came through, and the prompt one endpoint is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from shoal.core.item import Item, Message, Speaker, Text
from shoal.core.label import NOTHING, Label
from shoal.core.selector import Narrowing

LOCAL_TENANT = "local"


class Effort(StrEnum):
    """How much a client is willing to spend: one step, as decided, or plans and verification."""

    FAST = "fast"
    AUTO = "auto"
    DEEP = "deep"


class Template(StrEnum):
    """The shape of a run. Later forms are added here; each is offered only once it exists."""

    DIRECT = "direct"
    SOLVE_VERIFY = "solve_verify"
    CHAIN = "chain"


class ToolMode(StrEnum):
    """How freely a model may call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the client offers; `raw` is its definition in the chat dialect's shape."""

    name: str
    raw: Mapping[str, Any]
    kind: str = "function"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether and which tool has to be called."""

    mode: ToolMode = ToolMode.AUTO
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is drawn. None means: not said, the endpoint's default holds.

    `extra` holds OpenAI fields Shoal does not read; they are passed through to chat-dialect endpoints untouched.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    logprobs: bool | None = None
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    response_format: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one endpoint is asked: conversation, sampling, tools, and the label of everything in it."""

    items: tuple[Item, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    label: Label = NOTHING
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, parsed and trusted; `model` is the client's own word for what it wants."""

    run: str
    model: str
    prompt: Prompt
    tenant: str = LOCAL_TENANT
    owner: str | None = None
    effort: Effort = Effort.AUTO
    stream: bool = False
    include_usage: bool = False
    narrowing: Narrowing = Narrowing()
    budget_usd: Decimal | None = None
    deadline_s: float | None = None
    template: Template | None = None
    explain: bool = False

    @property
    def question(self) -> str:
        """The text of the last user message, which is what languages and subjects are read from."""
        for item in reversed(self.prompt.items):
            if isinstance(item, Message) and item.speaker is Speaker.USER:
                return item.text
        return ""

    @property
    def is_single_turn(self) -> bool:
        """Whether the whole conversation is one user message of plain text, without tools."""
        items = self.prompt.items
        return (
            len(items) == 1
            and isinstance(items[0], Message)
            and items[0].speaker is Speaker.USER
            and all(isinstance(part, Text) for part in items[0].parts)
            and not self.prompt.tools
        )

    def labelled(self, label: Label) -> Request:
        """Return the same request whose prompt carries `label` as well."""
        return replace(self, prompt=replace(self.prompt, label=self.prompt.label.join(label)))
