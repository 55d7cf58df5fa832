"""Twins behind real ports: the real `openai` client meets the same rules there as ours does in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aiohttp
import openai
import pytest

from shoal.core.item import say
from shoal.core.request import Prompt, Sampling
from shoal.simulation.strict.conformance import endpoints_of, folded
from shoal.simulation.strict.refusals import GOOD_KEY
from shoal.simulation.strict.server import serve_twin
from shoal.wire.openai_chat import OpenAIChat

DIALECT = OpenAIChat()


def played(provider: str, part: Callable[[str], Awaitable[None]]) -> None:
    async def play() -> None:
        async with serve_twin(provider) as base_url:
            await part(base_url)

    asyncio.run(play())


@pytest.mark.parametrize("provider", ["deepseek", "openrouter", "sarvam", "google", "vllm"])
def test_our_dialect_streams_from_a_twin_over_http(provider: str) -> None:
    async def part(base_url: str) -> None:
        endpoint = replace(endpoints_of(provider)[0], base_url=base_url)
        prompt = Prompt((say("hello 서울"),), Sampling(max_tokens=50))
        outgoing = DIALECT.encode(prompt, endpoint, stream=True, key=GOOD_KEY)
        decoder = DIALECT.decoder(endpoint)
        deltas = []
        async with (
            aiohttp.ClientSession() as session,
            session.post(outgoing.url, data=outgoing.body, headers=dict(outgoing.headers)) as reply,
        ):
            assert reply.status == 200
            async for chunk in reply.content.iter_any():
                deltas += decoder.feed(chunk)
        heard = folded([*deltas, *decoder.finish()])
        assert heard.text == "You said: hello 서울"
        assert heard.usage.output > 0

    played(provider, part)


def test_the_real_client_is_served_and_refused_by_a_twin() -> None:
    async def part(base_url: str) -> None:
        client = openai.AsyncOpenAI(base_url=base_url, api_key=GOOD_KEY, max_retries=0)
        try:
            reply = await client.chat.completions.create(
                model="mistral-large-4", messages=[{"role": "user", "content": "roll"}]
            )
            assert reply.usage is not None and reply.usage.total_tokens > 0
            with pytest.raises(openai.BadRequestError, match="seed"):
                await client.chat.completions.create(
                    model="mistral-large-4", messages=[{"role": "user", "content": "roll"}], seed=1
                )
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(
                    model="mistral-large-4", messages=[{"role": "user", "content": "[rate]"}]
                )
        finally:
            await client.close()

    played("mistral", part)


def test_a_twin_asked_to_cut_breaks_the_connection() -> None:
    async def part(base_url: str) -> None:
        endpoint = replace(endpoints_of("openai")[0], base_url=base_url)
        outgoing = DIALECT.encode(Prompt((say("[cut]"),)), endpoint, stream=True, key=GOOD_KEY)
        async with (
            aiohttp.ClientSession() as session,
            session.post(outgoing.url, data=outgoing.body, headers=dict(outgoing.headers)) as reply,
        ):
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()

    played("openai", part)
