"""Tools through the whole house: the real `openai` client, our gateway over HTTP, strict twins behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from shoal.assembly import open_instance
from shoal.core.money import FREE
from shoal.gateway.app import Gateway
from shoal.gateway.guard import Guard
from shoal.gateway.server import open_sockets, serve, url_of
from shoal.settings import check_text
from shoal.simulation.strict.conformance import endpoints_of
from shoal.simulation.strict.refusals import GOOD_KEY
from shoal.simulation.strict.server import serve_twin

CALM = "[discovery]\nenabled = false\n[practice]\nenabled = false\n"
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
Part = Callable[[openai.AsyncOpenAI, str], Awaitable[None]]


def played(provider: str, folder: Path, monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    """Run `part` with a client of a gateway whose pool is one strict twin."""
    monkeypatch.setenv("TWIN_KEY", GOOD_KEY)

    async def play() -> None:
        async with serve_twin(provider) as base_url:
            model = next(e for e in endpoints_of(provider) if e.model.tools is not False)
            endpoint = replace(model, base_url=base_url, key_env="TWIN_KEY", price=FREE)
            loaded = check_text(CALM, folder / "shoal.toml")
            async with open_instance(loaded, state=folder, extra=(endpoint,)) as instance:
                app = Gateway(
                    instance.pipeline, models=instance, runs=instance, readiness=instance, guard=Guard("127.0.0.1")
                )
                sockets, stop = open_sockets("127.0.0.1", 0), asyncio.Event()
                url = url_of(sockets)
                serving = asyncio.create_task(serve(app, sockets, stop=stop))
                async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
                    await part(client, endpoint.id)
                stop.set()
                await serving

    asyncio.run(play())


PROVIDERS = ["deepseek", "mistral", "moonshot", "zai", "openrouter", "vllm"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_tool_is_called_and_its_result_comes_back(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def part(client: openai.AsyncOpenAI, _: str) -> None:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "the weather in Seoul"}]
        first = await client.chat.completions.create(
            model="shoal", messages=messages, tools=[WEATHER], tool_choice="required", max_tokens=200
        )
        choice = first.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls
        call = choice.message.tool_calls[0]
        assert call.type == "function" and call.function.name == "weather"
        json.loads(call.function.arguments)
        messages.append(choice.message.to_dict())  # type: ignore[arg-type]  # what clients do: send it back as it came
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "21 degrees"})
        second = await client.chat.completions.create(model="shoal", messages=messages, tools=[WEATHER])
        assert second.choices[0].finish_reason == "stop"
        assert second.choices[0].message.content

    played(provider, tmp_path, monkeypatch, part)


@pytest.mark.parametrize("provider", ["deepseek", "mistral"])
def test_a_streamed_tool_call_is_whole(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def part(client: openai.AsyncOpenAI, name: str) -> None:
        stream = await client.chat.completions.create(
            model=name,
            messages=[{"role": "user", "content": "the weather in Seoul"}],
            tools=[WEATHER],
            tool_choice="required",
            stream=True,
        )
        called, arguments, finish = "", "", None
        async for chunk in stream:
            if not chunk.choices:
                continue
            for delta in chunk.choices[0].delta.tool_calls or ():
                assert delta.function is not None
                called += delta.function.name or ""
                arguments += delta.function.arguments or ""
            finish = chunk.choices[0].finish_reason or finish
        assert (called, finish) == ("weather", "tool_calls")
        json.loads(arguments)

    played(provider, tmp_path, monkeypatch, part)


def test_an_image_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def part(client: openai.AsyncOpenAI, name: str) -> None:
        reply = await client.chat.completions.create(
            model=name,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is this"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                    ],
                }
            ],
        )
        assert "image" in (reply.choices[0].message.content or "")

    played("openrouter", tmp_path, monkeypatch, part)
