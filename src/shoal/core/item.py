"""Canonical conversation items and their deltas: the one inner form that every dialect translates to and from.

A conversation is a flat sequence of items. One assistant turn of a chat dialect is the run of `Reasoning`,
`Message(role=ASSISTANT)` and `ToolCall` items between two items of other roles. No provider's wire form is kept as
truth; what only its producer understands travels as `Opaque`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shoal.core.label import NOTHING, Label


class Speaker(StrEnum):
    """Who speaks in a message (the chat dialect calls this its role)."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text; `marks` are fields beside it that some providers read (`cache_control`), None where none."""

    text: str
    marks: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image handed on as it came: an `https:` or `data:` URL that Shoal itself never opens."""

    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class OtherPart:
    """A content part Shoal hands on without reading it (audio, file, ...)."""

    kind: str
    raw: Mapping[str, Any]


Part = Text | Image | OtherPart


@dataclass(frozen=True, slots=True)
class Producer:
    """Who produced an item."""

    endpoint: str
    model: str
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said."""

    speaker: Speaker
    parts: tuple[Part, ...]
    name: str | None = None
    refusal: str | None = None
    producer: Producer | None = None
    label: Label = NOTHING

    @property
    def text(self) -> str:
        """The text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The thinking a model showed before or beside its answer."""

    text: str
    producer: Producer | None = None
    label: Label = NOTHING


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for a tool; `arguments` is the JSON text as the model wrote it."""

    call_id: str
    name: str
    arguments: str
    producer: Producer | None = None
    label: Label = NOTHING


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back to the call `call_id`."""

    call_id: str
    parts: tuple[Part, ...]
    label: Label = NOTHING

    @property
    def text(self) -> str:
        """The text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something only its producer understands; it goes back to the producer alone and is never invented."""

    kind: str
    raw: Mapping[str, Any]
    producer: Producer | None = None
    label: Label = NOTHING


Item = Message | Reasoning | ToolCall | ToolResult | Opaque


def say(text: str, speaker: Speaker = Speaker.USER) -> Message:
    """Return a plain text message."""
    return Message(speaker, (Text(text),))


class Finish(StrEnum):
    """Why an answer ended, in canonical words (`other` keeps a provider's own word out of clients' way)."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or a sum of calls; `output` includes `reasoning`, `input` includes `cached`."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.reasoning + other.reasoning,
            self.cached + other.cached,
        )

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """More text of a refusal by the model itself."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the thinking."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A new tool call (`call_id` and `name` set) or more of its arguments (`index` says which)."""

    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class LogprobsDelta:
    """Log-probabilities as the provider gave them, in the chat dialect's shape."""

    content: tuple[Mapping[str, Any], ...]
    choice: int = 0


@dataclass(frozen=True, slots=True)
class FinishDelta:
    """One choice ended."""

    finish: Finish
    choice: int = 0


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """The tokens so far; a later one replaces an earlier one."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class ServedDelta:
    """The provider's own word for the model that answers, and its system fingerprint where given."""

    model: str
    fingerprint: str | None = None


Delta = (
    TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | LogprobsDelta | FinishDelta | UsageDelta | ServedDelta
)

CONTENT = (TextDelta, RefusalDelta, ReasoningDelta, ToolCallDelta, LogprobsDelta)
"""Deltas that commit an endpoint once they reach the client."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `n` answers."""

    index: int
    items: tuple[Item, ...]
    finish: Finish
    logprobs: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The text of the assistant's messages."""
        return "".join(item.text for item in self.items if isinstance(item, Message))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of one endpoint."""

    choices: tuple[Choice, ...]
    usage: Usage
    served_model: str = ""
    usage_estimated: bool = False
    fingerprint: str | None = None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text if self.choices else ""
