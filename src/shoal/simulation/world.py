"""A world from one seed: providers that speak the chat dialect's bytes, and go wrong as their scripts say.

Knows the wire form from the provider's side and nothing of the pool. Every actor draws from a random stream of its own
name, so that what one of them does never depends on when the others were asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Any

import orjson

from shoal.core.endpoint import Endpoint, Limits, Model
from shoal.core.money import Price
from shoal.simulation.fault import STATUS, Fault, Script, Span
from shoal.simulation.network import Network, Reply
from shoal.wire.outgoing import Outgoing

COUNTRIES = ("KR", "JP", "FR", "AE", "IN", "US", "CN", "SG", "DE", "VN")
SLOWNESS = 10.0
FOR_EVER_S = 1e6

Mind = Callable[[Mapping[str, Any], Random], str]
"""What a provider says to a request body."""


def parrot(body: Mapping[str, Any], random: Random) -> str:
    """Return a few words that depend on nothing but the provider's own stream."""
    return " ".join(random.choice(("reef", "tide", "fin", "kelp", "gull")) for _ in range(random.randint(3, 12)))


@dataclass(slots=True)
class Provider:
    """One endpoint's server; mutable."""

    endpoint: Endpoint
    random: Random
    script: Script = Script()
    mind: Mind = parrot
    first_token_s: float = 0.2
    token_s: float = 0.02
    tells_usage: bool = True
    calls: int = 0
    billed: list[tuple[int, int]] = field(default_factory=list)

    async def connect(self) -> None:
        """Accept a connection, unless nobody listens just now."""
        if self._due() is Fault.REFUSE:
            self.calls += 1
            raise ConnectionRefusedError("nobody listens")

    async def serve(self, outgoing: Outgoing) -> Reply:
        """Answer one call as the script says."""
        fault = self._due()
        self.calls += 1
        body = orjson.loads(outgoing.body)
        # Every call draws from a stream of its own, so an answer does not depend on how calls overlap.
        random = Random(self.random.getrandbits(64))
        if fault is not None and fault in STATUS:
            await asyncio.sleep(0.01)
            return self._refusal(fault)
        if fault is Fault.RESET:
            raise ConnectionResetError("closed without a reply")
        if fault is Fault.HANG:
            await asyncio.sleep(FOR_EVER_S)
        pace = SLOWNESS if fault is Fault.SLOW else 1.0
        await asyncio.sleep(self.first_token_s * random.lognormvariate(0, 0.3) * pace)
        said = self.mind(body, random)
        words = [f"{word} " for word in said.split(" ")[:-1]] + said.split(" ")[-1:] if said else []
        most = body.get("max_tokens") or body.get("max_completion_tokens")
        finish = "stop"
        if most is not None and len(words) > most:
            words, finish = words[:most], "length"
        usage = (sum(len(str(m.get("content"))) for m in body["messages"]) // 4 + 1, len(words))
        self.billed.append(usage)
        if body.get("stream"):
            pieces = self._streamed(words, finish, usage, fault, self.token_s * pace)
            return Reply(200, {"Content-Type": "text/event-stream"}, pieces)
        await asyncio.sleep(self.token_s * pace * len(words))
        return Reply(200, {"Content-Type": "application/json"}, self._whole(words, finish, usage, fault))

    def _due(self) -> Fault | None:
        return self.script.due(self.calls, asyncio.get_running_loop().time())

    def _refusal(self, fault: Fault) -> Reply:
        status, code, message = STATUS[fault]
        headers = {"Content-Type": "application/json"}
        if fault is Fault.E429 and self.script.retry_after_s is not None:
            headers["Retry-After"] = f"{self.script.retry_after_s:g}"
        return Reply(status, headers, _once(orjson.dumps({"error": {"code": code, "message": message}})))

    async def _whole(
        self, words: list[str], finish: str, usage: tuple[int, int], fault: Fault | None
    ) -> AsyncGenerator[bytes, None]:
        message = {"role": "assistant", "content": "".join(words)}
        reply: dict[str, Any] = {
            "id": "chatcmpl-sim",
            "object": "chat.completion",
            "model": self.endpoint.native_name,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }
        if self.tells_usage:
            reply["usage"] = _usage(usage)
        data = orjson.dumps(reply)
        match fault:
            case Fault.GARBAGE:
                yield b"<html><body>It works!</body></html>"
            case Fault.BAD_CHUNK:
                yield data[:20] + b"\x00\xff{{" + data[24:]
            case Fault.ERROR_EVENT:
                yield orjson.dumps({"error": {"code": "server_error", "message": "the engine died"}})
            case Fault.CUT | Fault.STALL:
                yield data[: len(data) // 2]
                if fault is Fault.STALL:
                    await asyncio.sleep(FOR_EVER_S)
                raise ConnectionResetError("cut")
            case _:
                yield data

    async def _streamed(
        self, words: list[str], finish: str, usage: tuple[int, int], fault: Fault | None, token_s: float
    ) -> AsyncGenerator[bytes, None]:
        yield self._event({"role": "assistant", "content": ""})
        if fault is Fault.GARBAGE:
            yield b"<html><body>It works!</body></html>\n\n"
            return
        for number, word in enumerate(words):
            yield self._event({"content": word})
            await asyncio.sleep(token_s)
            if number == len(words) // 2:
                match fault:
                    case Fault.CUT:
                        raise ConnectionResetError("cut")
                    case Fault.STALL:
                        await asyncio.sleep(FOR_EVER_S)
                    case Fault.BAD_CHUNK:
                        yield b'data: {"choices": [{"delta\x00": \xff\n\n'
                    case Fault.ERROR_EVENT:
                        yield b'data: {"error": {"code": "server_error", "message": "the engine died"}}\n\n'
                        return
        yield self._event({}, finish)
        if self.tells_usage:
            yield b"data: " + orjson.dumps({"choices": [], "usage": _usage(usage)}) + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _event(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        event = {"object": "chat.completion.chunk", "model": self.endpoint.native_name, "choices": [choice]}
        return b"data: " + orjson.dumps(event) + b"\n\n"


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


@dataclass(slots=True)
class World:
    """Providers behind one network, all from one seed."""

    seed: int
    network: Network = field(default_factory=Network)
    providers: dict[str, Provider] = field(default_factory=dict)

    def random_for(self, actor: str) -> Random:
        """Return an actor's own random stream."""
        return Random(f"{self.seed}/{actor}")

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints of the world."""
        return tuple(provider.endpoint for provider in self.providers.values())

    def add(self, endpoint: Endpoint, script: Script | None = None, mind: Mind = parrot) -> Provider:
        """Let a provider serve an endpoint, at an address of its own; without a script nothing goes wrong."""
        address = f"http://{endpoint.id.replace('/', '.').replace('@', '.')}.sim/v1"
        placed = replace(endpoint, base_url=address)
        provider = Provider(placed, self.random_for(endpoint.id), script or Script(), mind)
        self.providers[endpoint.id] = provider
        self.network.attach(address, provider)
        return provider

    def script(self, endpoint_id: str, script: Script) -> None:
        """Give a provider another script."""
        self.providers[endpoint_id].script = script


def make_world(
    seed: int, *, endpoints: int = 6, outages: bool = True, mind: Mind = parrot, span_s: float = 600
) -> World:
    """Return providers in several countries; with `outages`, each has bad times of its own within `span_s`."""
    world = World(seed)
    for number in range(endpoints):
        name = f"sim{number}/fish-{number}"
        random = world.random_for(f"facts of {name}")
        provider = world.add(_endpoint(name, COUNTRIES[number % len(COUNTRIES)], random), mind=mind)
        provider.first_token_s = random.uniform(0.05, 0.6)
        provider.tells_usage = random.random() < 0.8
        if outages:
            provider.script = _script(random, span_s)
    return world


def _endpoint(name: str, country: str, random: Random) -> Endpoint:
    provider, native = name.split("/")
    price = Price(Decimal(random.randint(1, 30)) / 10, Decimal(random.randint(1, 90)) / 10)
    return Endpoint(
        id=name,
        provider=provider,
        native_name=native,
        model=Model(id=f"{provider}/{native}", developer=provider, developer_country=country, max_output=512),
        base_url="",
        auth="none",
        host_country=country,
        operator=provider,
        operator_country=country,
        price=price,
        attested="simulation",
        limits=Limits(concurrency=random.randint(2, 8), connect_s=2, first_byte_s=10, gap_s=5, total_s=60),
    )


def _script(random: Random, span_s: float) -> Script:
    faults = list(Fault)
    calls = {random.randrange(200): random.choice(faults) for _ in range(random.randint(0, 12))}
    spans = []
    for _ in range(random.randint(0, 3)):
        start = random.uniform(0, span_s)
        spans.append(Span(random.choice(faults), start, start + random.expovariate(1 / 30)))
    return Script(MappingProxyType(calls), tuple(spans), random.choice((None, 0.5, 3.0, 20.0)))
