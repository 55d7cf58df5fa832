"""Collecting: a stream of deltas adds up to the answer a whole reply would have been."""

from __future__ import annotations

from shoal.core.item import (
    Finish,
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
    Usage,
    UsageDelta,
)
from shoal.pool.collector import Collector


def test_a_stream_of_everything_adds_up() -> None:
    collector = Collector()
    for delta in (
        ServedDelta("model-7", "fp"),
        ReasoningDelta("so "),
        ReasoningDelta("it is"),
        TextDelta("for"),
        TextDelta("ty"),
        LogprobsDelta(({"token": "four"},)),
        ToolCallDelta(0, "c1", "look", '{"a"'),
        ToolCallDelta(1, "c2", "find"),
        ToolCallDelta(0, arguments=": 1}"),
        TextDelta("other", 1),
        RefusalDelta("no", 1),
        FinishDelta(Finish.TOOL_CALLS),
        FinishDelta(Finish.LENGTH, 1),
        UsageDelta(Usage(1, 1)),
        UsageDelta(Usage(9, 5)),
    ):
        collector.add(delta)
    answer = collector.answer(Usage(1000, 1000))
    first, second = answer.choices
    assert first.text == "forty" and first.finish is Finish.TOOL_CALLS and first.logprobs == ({"token": "four"},)
    assert [type(item) for item in first.items] == [Reasoning, Message, ToolCall, ToolCall]
    assert first.items[2] == ToolCall("c1", "look", '{"a": 1}') and first.items[3] == ToolCall("c2", "find", "")
    assert second.finish is Finish.LENGTH and second.text == "other"
    assert isinstance(second.items[0], Message) and second.items[0].refusal == "no"
    assert (answer.usage, answer.usage_estimated) == (Usage(9, 5), False)
    assert (answer.served_model, answer.fingerprint) == ("model-7", "fp")


def test_usage_nobody_told_is_the_estimate_and_says_so() -> None:
    collector = Collector()
    collector.add(TextDelta("abc"))
    answer = collector.answer(Usage(3, 1))
    assert answer.usage == Usage(3, 1) and answer.usage_estimated and collector.characters == 3
