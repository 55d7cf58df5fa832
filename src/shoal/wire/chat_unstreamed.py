"""A reply that should have been a stream and is not: one JSON body, an answer or an error, or a page of HTML.

Knows how such a body begins and how to give a whole answer as deltas. Some providers report an error so although a
stream was asked for, some ignore `stream` altogether; both say it with status 200.
"""

from __future__ import annotations

from shoal.core.item import (
    Answer,
    Delta,
    FinishDelta,
    LogprobsDelta,
    Message,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    ServedDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)

_BLANK = b" \t\r\n\xef\xbb\xbf"
_STARTS = b"{[<"  # no field of an event stream begins so


def is_unstreamed(head: bytes) -> bool | None:
    """Return whether a body that begins with `head` is no event stream, or None where it cannot be told yet."""
    rest = head.lstrip(_BLANK)
    return None if not rest else rest[0] in _STARTS


def deltas_of(answer: Answer) -> list[Delta]:
    """Return a whole answer as the deltas it might have come in."""
    deltas: list[Delta] = [ServedDelta(answer.served_model, answer.fingerprint)]
    for choice in answer.choices:
        calls = 0
        for item in choice.items:
            if isinstance(item, Reasoning):
                deltas.append(ReasoningDelta(item.text, choice.index))
            elif isinstance(item, ToolCall):
                deltas.append(ToolCallDelta(calls, item.call_id, item.name, item.arguments, choice.index))
                calls += 1
            elif isinstance(item, Message):
                if item.text:
                    deltas.append(TextDelta(item.text, choice.index))
                if item.refusal:
                    deltas.append(RefusalDelta(item.refusal, choice.index))
        if choice.logprobs:
            deltas.append(LogprobsDelta(choice.logprobs, choice.index))
        deltas.append(FinishDelta(choice.finish, choice.index))
    if not answer.usage_estimated:
        deltas.append(UsageDelta(answer.usage))
    return deltas
