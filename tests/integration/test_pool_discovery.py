"""Local servers are found by what they say, on loopback only, and nothing that might be a relay is taken for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from shoal.pool.discovery import Found, Port, discover

MODELS = {"object": "list", "data": [{"id": "qwen3:8b", "owned_by": "library"}, {"id": "nomic-embed-text"}]}


def listing(owner: str, *names: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "owned_by": owner} for name in names]}


@asynccontextmanager
async def serving(answers: Mapping[str, Any], *, wait_s: float = 0.0) -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(wait_s)
        found = answers.get(request.path)
        if found is None:
            return web.json_response({"error": "not found"}, status=404)
        return web.Response(body=found) if isinstance(found, bytes) else web.json_response(found)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def found_with(answers: Mapping[str, Any], *kinds: str, wait_s: float = 0.0, **options: Any) -> tuple[Found, ...]:
    async def story() -> tuple[Found, ...]:
        async with serving(answers, wait_s=wait_s) as port:
            rows = await discover((Port(port, kinds),), **options)
            return tuple(Found(row.kind, row.base_url.replace(str(port), "PORT"), row.models) for row in rows)

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("kinds", "answers", "kind", "models"),
    [
        (("ollama",), {"/v1/models": MODELS, "/api/version": {"version": "0.9"}}, "ollama", ("qwen3:8b",)),
        (("lmstudio",), {"/v1/models": listing("organization_owner", "phi-5")}, "lmstudio", ("phi-5",)),
        (("vllm",), {"/v1/models": listing("vllm", "Qwen/Qwen3-8B")}, "vllm", ("Qwen/Qwen3-8B",)),
        (("sglang",), {"/v1/models": listing("sglang", "glm-5")}, "sglang", ("glm-5",)),
        (("llama-cpp", "tgi"), {"/v1/models": listing("llamacpp", "a.gguf")}, "llama-cpp", ("a.gguf",)),
        (
            ("llama-cpp", "tgi"),
            {"/v1/models": listing("me", "a.gguf"), "/props": {"default_generation_settings": {}}},
            "llama-cpp",
            ("a.gguf",),
        ),
        (
            ("llama-cpp", "tgi"),
            {"/info": {"model_id": "mistralai/Ministral", "max_total_tokens": 4096}},
            "tgi",
            ("mistralai/Ministral",),
        ),
    ],
)
def test_every_usual_server_is_told_by_its_own_signs(
    kinds: tuple[str, ...], answers: Mapping[str, Any], kind: str, models: tuple[str, ...]
) -> None:
    assert found_with(answers, *kinds) == (Found(kind, "http://127.0.0.1:PORT/v1", models),)


@pytest.mark.parametrize(
    "answers",
    [
        {"/v1/models": listing("openai", "gpt-9", "claude-9")},  # a relay on the port of vLLM
        {"/v1/models": listing("shoal", "shoal", "shoal-fast")},
        {"/v1/models": listing("vllm", "shoal/practice")},
        {"/v1/models": listing("practice", "reader-ja")},
        {"/v1/models": listing("vllm")},
        {"/v1/models": b"<html>"},
        {"/v1/models": b"[1, 2, 3]"},
        {"/v1/models": {"data": ["a", {"id": 3}, None]}},
        {},
    ],
)
def test_what_cannot_be_told_for_certain_is_not_taken(answers: Mapping[str, Any]) -> None:
    assert found_with(answers, "vllm") == ()


def test_models_that_run_in_ollamas_cloud_are_not_local() -> None:
    answers = {"/v1/models": listing("library", "gpt-oss:120b-cloud", "glm-5:cloud"), "/api/version": {"version": "1"}}
    assert found_with(answers, "ollama") == ()


def test_a_slow_server_is_not_waited_for() -> None:
    began = time.monotonic()
    assert found_with({"/v1/models": listing("vllm", "a")}, "vllm", wait_s=1.0) == ()
    assert time.monotonic() - began < 3


def test_our_own_ports_are_skipped_and_the_operators_are_believed() -> None:
    async def story() -> None:
        async with serving({"/v1/models": listing("me", "tuned")}) as port:
            assert await discover((Port(port, ("vllm",)),)) == ()
            [row] = await discover((), extra_ports={"vllm": port})
            assert (row.kind, row.models) == ("vllm", ("tuned",))
            assert await discover((), extra_ports={"vllm": port}, skip=frozenset({port})) == ()

    asyncio.run(story())


def test_only_this_machine_is_searched() -> None:
    with pytest.raises(ValueError, match="only this machine"):
        asyncio.run(discover(host="10.0.0.1"))
