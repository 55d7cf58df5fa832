"""Laws of the chat door: any bytes are a request or a clear refusal, and what is parsed can be sent on."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import CallerError
from shoal.wire.door_chat import parse_request
from shoal.wire.openai_chat import OpenAIChat

ENDPOINT = Endpoint("a/b", "a", "b", Model("a/b", "a"), "https://x.test/v1")
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    "stream stream_options max_tokens max_completion_tokens temperature top_p stop seed n logprobs top_logprobs "
    "reasoning_effort response_format tools tool_choice parallel_tool_calls user shoal metadata unknown".split()
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "x"])},
        optional={
            "content": st.text(max_size=5) | VALUES,
            "tool_calls": VALUES,
            "tool_call_id": VALUES,
            "name": VALUES,
        },
    ),
    max_size=4,
)


def refused_or_sent(body: bytes) -> None:
    """Assert that a body is refused with a reason, or makes a request that every dialect can write."""
    try:
        request = parse_request(body, {}, run="run_x")
    except CallerError as error:
        assert error.status == 400
        assert error.message
        return
    outgoing = OpenAIChat().encode(request.prompt, ENDPOINT, stream=request.stream, key=None)
    assert orjson.loads(outgoing.body)["messages"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_sent(body: bytes) -> None:
    refused_or_sent(body)


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_object_is_refused_or_sent(messages: list[Any], fields: dict[str, Any]) -> None:
    refused_or_sent(orjson.dumps({"model": "shoal", "messages": messages, **fields}))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=50))
def test_what_a_user_says_arrives_unchanged(text: str) -> None:
    body = orjson.dumps({"model": "shoal", "messages": [{"role": "user", "content": text}]})
    request = parse_request(body, {}, run="run_x")
    sent = orjson.loads(OpenAIChat().encode(request.prompt, ENDPOINT, stream=False, key=None).body)
    assert request.question == text
    assert sent["messages"] == [{"role": "user", "content": text}]
