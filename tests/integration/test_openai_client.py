"""The real `openai` client drives the running server, streamed and not."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from running import Running

THREE_STEPS = "三百二十五足す十七は？"


@pytest.fixture(scope="module")
def client(instance: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{instance.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(text: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_a_chain_is_answered_whole(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="shoal-deep", messages=ask(THREE_STEPS))
    assert reply.choices[0].message.content == "三百四十二"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None and reply.usage.total_tokens > 0
    inner = reply.usage.model_extra["shoal"] if reply.usage.model_extra else {}
    assert len(inner["steps"]) >= 3
    assert sum(s["input_tokens"] + s["output_tokens"] for s in inner["steps"]) == reply.usage.total_tokens


def test_a_stream_says_the_same_and_its_usage_comes_last(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="shoal-deep", messages=ask(THREE_STEPS), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "三百四十二"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens > 0
    assert all(c.usage is None for c in chunks[:-1])


def test_a_model_is_asked_by_name(client: OpenAI) -> None:
    names = [m.id for m in client.models.list() if m.id.startswith("practice/")]
    assert len(names) >= 12
    reply = client.chat.completions.create(model=names[0], messages=ask("三百二十五を数字で"), max_tokens=12)
    assert reply.choices[0].finish_reason in ("stop", "length")


def test_several_answers_and_log_probabilities_come_through(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model="shoal-fast", messages=ask("325 + 17 = ?"), n=2, logprobs=True, top_logprobs=2, seed=7, temperature=0
    )
    assert [c.index for c in reply.choices] == [0, 1]
    assert reply.choices[0].message.content == "342"
    assert reply.choices[0].logprobs is not None and reply.choices[0].logprobs.content


def test_stop_ends_the_text_before_the_word(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="shoal-fast", messages=ask("325を漢数字で"), stop=["十"])
    assert reply.choices[0].message.content == "三百二"


def test_system_and_developer_messages_are_taken(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model="shoal-fast",
        messages=[
            {"role": "system", "content": "answer briefly"},
            {"role": "developer", "content": "numbers only"},
            {"role": "user", "content": "325 + 17 = ?"},
        ],
    )
    assert reply.choices[0].message.content == "342"


def test_an_unknown_model_is_not_found_and_near_names_are_offered(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="shoal-fast"):
        client.chat.completions.create(model="shoal-fasst", messages=ask("325 + 17 = ?"))


def test_a_request_can_narrow_and_a_refusal_names_the_rule(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model="shoal-fast", messages=ask("三百二十五を数字で"), extra_body={"shoal": {"exclude": ["country:JP"]}}
    )
    assert reply.choices[0].message.content == "325"
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(
            model="shoal", messages=ask("325 + 17 = ?"), extra_body={"shoal": {"only": ["host:AQ"]}}
        )
    body = refused.value.body
    assert isinstance(body, dict)
    assert body["code"] == "nothing_permitted"
    assert all(c["rules"] == ["only host:AQ"] for c in body["shoal"]["candidates"])


def test_a_prompt_nobody_can_serve_says_what_to_do(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="shoal add PROVIDER") as refused:
        client.chat.completions.create(model="shoal", messages=ask("write a poem about the sea"))
    assert refused.value.status_code == 503


def test_a_budget_that_cannot_fit_is_refused_before_anything_is_sent(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError, match="budget"):
        client.chat.completions.create(
            model="shoal", messages=ask("325 + 17 = ?"), extra_body={"shoal": {"budget_usd": 0.000000001}}
        )


def test_an_unknown_field_of_ours_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="shoal"):
        client.chat.completions.create(model="shoal", messages=ask("1"), extra_body={"shoal": {"excluding": []}})
