"""Collecting: deltas of a stream become the same answer a whole reply would have given.

Knows deltas and items. Knows no bytes and no endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.core.item import (
    Answer,
    Choice,
    Delta,
    Finish,
    FinishDelta,
    Item,
    LogprobsDelta,
    Message,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    ServedDelta,
    Speaker,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageDelta,
)


@dataclass(slots=True)
class _Call:
    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)
    logprobs: list[Mapping[str, Any]] = field(default_factory=list)
    finish: Finish | None = None

    def items(self) -> tuple[Item, ...]:
        """Return the choice's items in the order a turn has them: thinking, words, tool calls."""
        found: list[Item] = []
        if self.reasoning:
            found.append(Reasoning("".join(self.reasoning)))
        if self.text or self.refusal:
            parts = (Text("".join(self.text)),) if self.text else ()
            found.append(Message(Speaker.ASSISTANT, parts, refusal="".join(self.refusal) or None))
        for _, call in sorted(self.calls.items()):
            found.append(ToolCall(call.call_id, call.name, "".join(call.arguments)))
        return tuple(found)


class Collector:
    """Adds deltas up; mutable, for one stream."""

    __slots__ = ("_choices", "_fingerprint", "_model", "characters", "usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._fingerprint: str | None = None
        self._model = ""
        self.usage: Usage | None = None
        self.characters = 0  # of everything the model wrote, for an estimate where no usage comes

    def add(self, delta: Delta) -> None:
        """Take one delta."""
        match delta:
            case TextDelta(text=text, choice=choice):
                self._at(choice).text.append(text)
                self.characters += len(text)
            case ReasoningDelta(text=text, choice=choice):
                self._at(choice).reasoning.append(text)
                self.characters += len(text)
            case RefusalDelta(text=text, choice=choice):
                self._at(choice).refusal.append(text)
                self.characters += len(text)
            case ToolCallDelta():
                self._add_call(delta)
            case LogprobsDelta(content=content, choice=choice):
                self._at(choice).logprobs.extend(content)
            case FinishDelta(finish=finish, choice=choice):
                self._at(choice).finish = finish
            case UsageDelta(usage=usage):
                self.usage = usage
            case ServedDelta(model=model, fingerprint=fingerprint):
                self._model = model
                self._fingerprint = fingerprint

    def answer(self, estimate: Usage) -> Answer:
        """Return the answer so far; `estimate` is what it counts as where the endpoint gave no usage."""
        choices = tuple(
            Choice(index, choice.items(), choice.finish or Finish.STOP, tuple(choice.logprobs))
            for index, choice in sorted(self._choices.items())
        )
        return Answer(choices, self.usage or estimate, self._model, self.usage is None, self._fingerprint)

    def _at(self, choice: int) -> _Choice:
        found = self._choices.get(choice)
        if found is None:
            found = self._choices[choice] = _Choice()
        return found

    def _add_call(self, delta: ToolCallDelta) -> None:
        call = self._at(delta.choice).calls.setdefault(delta.index, _Call())
        call.call_id = delta.call_id or call.call_id
        call.name = delta.name or call.name
        call.arguments.append(delta.arguments)
        self.characters += len(delta.arguments)
