"""Discovery: which model servers run on this machine, on the ports they usually take.

Knows the usual ports and how each server tells who it is. Knows no catalogue and keeps nothing: what is found is a
plain row. Only loopback is asked, and only a server that can be told for certain is reported, because what is found
counts as standing in the instance's own country: an unknown server on a well-known port may well be a relay abroad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson

from shoal.pool.transport import FOREIGN

LIMIT_S = 0.3  # a local server that lists its models takes a few milliseconds
MAX_REPLY = 4 * 1024 * 1024
MAX_MODELS = 500
LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Port:
    """A port to look at, and the servers that usually take it; `is_stated` where the operator says which it is."""

    number: int
    kinds: tuple[str, ...]
    is_stated: bool = False


PORTS = (
    Port(11434, ("ollama",)),
    Port(1234, ("lmstudio",)),
    Port(8000, ("vllm",)),
    Port(30000, ("sglang",)),
    Port(8080, ("llama-cpp", "tgi")),
    Port(3000, ("tgi",)),
)
NO_PORTS: Mapping[str, int] = MappingProxyType({})
OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama-cpp", "organization_owner": "lmstudio"}
"""What a server puts into `owned_by`, where that tells it for certain."""

SIGNS: Mapping[str, tuple[str, frozenset[str]]] = {
    "ollama": ("/api/version", frozenset({"version"})),
    "lmstudio": ("/api/v0/models", frozenset({"data"})),
    "llama-cpp": ("/props", frozenset({"default_generation_settings"})),
    "tgi": ("/info", frozenset({"model_id", "max_total_tokens"})),
    "sglang": ("/get_model_info", frozenset({"model_path"})),
}
"""A path only this server has, and the fields its answer carries."""


@dataclass(frozen=True, slots=True)
class Found:
    """A local server: what it is, where it is, and what it can be asked for."""

    kind: str
    base_url: str
    models: tuple[str, ...]


async def discover(
    ports: Iterable[Port] = PORTS,
    *,
    extra_ports: Mapping[str, int] = NO_PORTS,
    host: str = "127.0.0.1",
    skip: frozenset[int] = frozenset(),
) -> tuple[Found, ...]:
    """Return the model servers found on this machine; `extra_ports` are the operator's own, `skip` ports of ours."""
    if host not in LOOPBACK:
        raise ValueError(f"only this machine is searched, found `{host}`")
    stated = [Port(number, (kind,), is_stated=True) for kind, number in extra_ports.items()]
    taken = {port.number for port in stated} | skip
    asked = [p for p in stated if p.number not in skip] + [p for p in ports if p.number not in taken]
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        found = await asyncio.gather(*(_look(session, host, port) for port in asked))
    return tuple(row for row in found if row is not None)


async def _look(session: aiohttp.ClientSession, host: str, port: Port) -> Found | None:
    root = f"http://[{host}]:{port.number}" if ":" in host else f"http://{host}:{port.number}"
    listed = await _get(session, f"{root}/v1/models")
    rows = listed.get("data") if listed is not None else None
    if isinstance(rows, list):
        rows = [row for row in rows[:MAX_MODELS] if isinstance(row, dict) and isinstance(row.get("id"), str)]
        if any(_is_ours(row) for row in rows):
            return None
    else:
        rows = []
    owners = {str(row.get("owned_by")) for row in rows}
    kind = next((OWNERS[owner] for owner in owners if owner in OWNERS), None)
    told: Mapping[str, Any] = {}
    for candidate in () if kind or listed is None else port.kinds:
        path, fields = SIGNS.get(candidate, ("", frozenset()))
        answer = await _get(session, root + path) if path else None
        if answer is not None and fields <= answer.keys():
            kind, told = candidate, answer
            break
    if kind is None and listed is not None and port.is_stated:
        kind = port.kinds[0]
    models = tuple(dict.fromkeys(row["id"] for row in rows if _can_chat(row["id"])))
    if kind == "tgi" and not models and isinstance(told.get("model_id"), str):
        models = (told["model_id"],)
    return Found(kind, f"{root}/v1", models) if kind and models else None


def _is_ours(row: Mapping[str, Any]) -> bool:
    """Whether a row is of a Shoal, or of its practice pool: both would ask themselves for ever."""
    name, owner = row["id"], str(row.get("owned_by", ""))
    return (
        name == "shoal" or name.startswith(("shoal/", "shoal-", "practice")) or owner.startswith(("shoal", "practice"))
    )


def _can_chat(name: str) -> bool:
    """Whether a model is one to talk to, on this machine: Ollama lists models of its cloud beside the local ones."""
    word = name.casefold()
    return "embed" not in word and "rerank" not in word and not word.endswith(("-cloud", ":cloud"))


async def _get(session: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    """Return the JSON object at a URL; None where nobody answers in time, and an empty one where it is no object."""
    try:
        async with (
            asyncio.timeout(LIMIT_S),
            session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as response,
        ):
            body = await response.content.read(MAX_REPLY)
            while len(body) < MAX_REPLY and (more := await response.content.read(MAX_REPLY - len(body))):
                body += more
            value = orjson.loads(body) if response.status == 200 else {}
    except orjson.JSONDecodeError:
        return {}
    except FOREIGN:
        return None
    return value if isinstance(value, dict) else {}
