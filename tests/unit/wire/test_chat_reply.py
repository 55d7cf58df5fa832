"""Whole replies: what is an answer, and everything that only looks like one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import Loss, UnreadableReply, UpstreamError
from shoal.core.item import Answer, Finish, Message, Reasoning, ToolCall, Usage
from shoal.wire.openai_chat import OpenAIChat

DIALECT = OpenAIChat()
GOOD = {"role": "assistant", "content": "hi"}


def endpoint(*quirks: str) -> Endpoint:
    return Endpoint("acme/big", "acme", "big", Model("a/big", "a"), "https://x.test/v1", quirks=frozenset(quirks))


def decoded(reply: Any, *quirks: str) -> Answer:
    body = reply if isinstance(reply, bytes) else orjson.dumps(reply)
    return DIALECT.decode(endpoint(*quirks), 200, {}, body)


def reply_with(message: dict[str, Any] | None = None, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": GOOD if message is None else message, "finish_reason": finish}
    return {"id": "r", "model": "big-2026", "choices": [choice], **more}


def test_an_answer_carries_its_text_model_and_usage() -> None:
    counts = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    answer = decoded(reply_with(usage=counts, system_fingerprint="fp"))
    assert answer.text == "hi"
    assert (answer.served_model, answer.fingerprint, answer.usage_estimated) == ("big-2026", "fp", False)
    assert answer.usage == Usage(10, 5, 3, 4)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 6}, Usage(10, 2, 0, 6)),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
        ({"prompt_tokens": "7", "completion_tokens": 2.0}, Usage(7, 2)),
        ({"prompt_tokens": -7, "completion_tokens": 10**15}, Usage(0, 10**9)),
        ({"prompt_tokens": None, "completion_tokens": True}, Usage()),
    ],
)
def test_usage_is_read_under_every_name_and_bounded(counts: dict[str, Any], usage: Usage) -> None:
    assert decoded(reply_with(usage=counts)).usage == usage


def test_missing_usage_is_said_to_be_missing() -> None:
    assert decoded(reply_with()).usage_estimated


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("model_length", Finish.LENGTH),
        ("content_filter", Finish.CONTENT_FILTER),
        ("a word of its own", Finish.STOP),
        (None, Finish.STOP),
    ],
)
def test_finish_words_become_ours(word: str | None, finish: Finish) -> None:
    assert decoded(reply_with(finish=word)).choices[0].finish is finish


@pytest.mark.parametrize("word", ["error", "abort", "insufficient_system_resource"])
def test_a_finish_that_means_failure_is_a_failure(word: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        decoded(reply_with(finish=word))
    assert caught.value.loss is Loss.TRANSIENT


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_in_a_field_is_apart_from_the_answer(field: str) -> None:
    thought, message = decoded(reply_with({"content": "hi", field: "hm"})).choices[0].items
    assert isinstance(thought, Reasoning) and thought.text == "hm"
    assert isinstance(message, Message) and message.text == "hi"


def test_both_thinking_fields_are_one_thought() -> None:
    items = decoded(reply_with({"content": "hi", "reasoning": "hm", "reasoning_content": "hm"})).choices[0].items
    assert [item.text for item in items if isinstance(item, Reasoning)] == ["hm"]


def test_think_tags_are_split_only_where_facts_say_so() -> None:
    tagged = reply_with({"content": "<think>a</think>b<think>c</think>d"})
    assert decoded(tagged, "think_tags_in_content").text == "bd"
    assert decoded(tagged).text == "<think>a</think>b<think>c</think>d"


def test_typed_chunks_are_flattened() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, "!"]},
        {"type": "text", "text": "h"},
        "i",
        {"type": "reference", "reference_ids": [1]},
        7,
    ]
    answer = decoded(reply_with({"content": content}))
    assert answer.text == "hi"
    assert isinstance(answer.choices[0].items[0], Reasoning)


def test_tool_calls_may_bring_objects_and_no_ids() -> None:
    calls = [{"function": {"name": "a", "arguments": {"x": 1}}}, {"id": 7, "function": {"name": "b"}}]
    choice = decoded(reply_with({"content": None, "tool_calls": calls})).choices[0]
    found = [item for item in choice.items if isinstance(item, ToolCall)]
    assert [(call.name, call.arguments) for call in found] == [("a", '{"x":1}'), ("b", "{}")]
    assert found[0].call_id != found[1].call_id == "7"
    assert choice.finish is Finish.TOOL_CALLS


def test_a_refusal_is_no_empty_answer() -> None:
    message = decoded(reply_with({"content": None, "refusal": "no"})).choices[0].items[0]
    assert isinstance(message, Message) and message.refusal == "no"


def test_several_choices_keep_their_order() -> None:
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in (1, 0)]
    assert [choice.text for choice in decoded({"choices": choices}).choices] == ["0", "1"]


def test_logprobs_come_through_without_what_nobody_knows() -> None:
    token = {"token": "hi", "logprob": -0.1, "bytes": [104], "top_logprobs": [{"token": "ho", "logprob": -2}]}
    reply = reply_with()
    reply["choices"][0]["logprobs"] = {"content": [{**token, "deep": [[[[]]]]}]}
    found = decoded(reply).choices[0].logprobs[0]
    assert found["token"] == "hi" and found["top_logprobs"][0]["token"] == "ho" and "deep" not in found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html>bad gateway</html>",
        b'{"choices": [{"index": 0, "mess',
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": {"0": {}}}',
        b'{"choices": [null]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"tool_calls": [{}]}}]}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"choices": ' + b"[" * 100_000,
        orjson.dumps({"choices": [{"message": GOOD}] * 65}),
        orjson.dumps({"choices": [{"message": {"tool_calls": [{"function": {"name": "a"}}] * 513}}]}),
    ],
    ids=range(22),
)
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableReply) as caught:
        decoded(body)
    assert caught.value.loss is Loss.UNREADABLE


@pytest.mark.parametrize(
    ("reply", "loss"),
    [
        ({"error": {"message": "overloaded", "type": "server_error"}}, Loss.TRANSIENT),
        ({"error": {"message": "quota exceeded", "code": "insufficient_quota"}}, Loss.SCARCE),
        ({"error": "something broke"}, Loss.TRANSIENT),
        ({"error": {"code": 429, "message": "slow down"}}, Loss.SCARCE),
        ({"code": 10013, "message": "input content audit failed", "sid": "x"}, Loss.TRANSIENT),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}, "choices": None}, Loss.TRANSIENT),
        ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, Loss.TRANSIENT),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, Loss.REQUEST),
        ({"error": {"message": "x"}, "choices": [{"message": GOOD}]}, Loss.TRANSIENT),
    ],
)
def test_an_error_with_a_good_status_is_an_error(reply: dict[str, Any], loss: Loss) -> None:
    with pytest.raises(UpstreamError) as caught:
        decoded(reply)
    assert caught.value.loss is loss


def test_an_answer_with_a_business_code_of_zero_is_an_answer() -> None:
    assert decoded(reply_with() | {"code": 0, "message": "Success", "sid": "x", "error": None}).text == "hi"


def test_raw_markup_is_noticed_only_at_the_beginning_of_the_text() -> None:
    with pytest.raises(UnreadableReply, match="parser"):
        decoded(reply_with({"content": "\n<tool_call>{}</tool_call>"}), "tool_markup_in_text")
    told = reply_with({"content": "Qwen writes <tool_call> first."})
    assert decoded(told, "tool_markup_in_text").text.startswith("Qwen")
