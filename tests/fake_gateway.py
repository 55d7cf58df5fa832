"""A gateway whose answers are scripted by the question, and a server of it on a free loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from fakes import answer
from shoal.core.errors import BudgetSpent, CallerError, NothingPermitted, ShoalError, StreamLost
from shoal.core.item import Answer, Delta, TextDelta, Usage, say
from shoal.core.request import Prompt, Request
from shoal.gateway.app import Gateway
from shoal.gateway.connection import Bounds
from shoal.gateway.guard import Guard
from shoal.gateway.reply import encode
from shoal.gateway.server import open_sockets, run, serve
from shoal.wire.door_chat import ChatDoor
from shoal.wire.door_reply import error_object

OWNED = "run_" + "0" * 26


@dataclass(frozen=True)
class Finished:
    """What a fake run ends with."""

    run: str
    answer: Answer
    mode: str = "direct"
    served_by: str = "acme/one"
    policy: str = "p1"
    usage_total: Usage = Usage(3, 2)
    cost_usd: Decimal | None = Decimal("0.001")
    usage_shoal: Mapping[str, Any] = field(default_factory=lambda: {"calls": 1})
    explain: Mapping[str, Any] | None = None


class Reading:
    """A fake stream: plays the script that its question names."""

    mode, policy = "direct", "p1"

    def __init__(self, request: Request, served_by: str) -> None:
        self.request = request
        self.run = request.run
        self.served_by = served_by
        self.given = 0

    @property
    def completed(self) -> Finished:
        return Finished(self.run, answer("done"))

    async def __aiter__(self) -> AsyncIterator[Delta]:
        word, _, number = self.request.question.partition(" ")
        await play(word, number)
        count = int(number) if word == "count" else 3
        for n in range(count):
            self.given += 1
            yield TextDelta(f"<{n}>")
            if word == "lost" and n == 1:
                raise StreamLost("the endpoint was lost in mid-stream")
            if word == "bug-later" and n == 1:
                raise KeyError("secret words of the user")
            if word == "drip":
                await asyncio.sleep(0.02)
            if word == "then-hang" and n == 1:
                await asyncio.sleep(3600)
            if word == "flood":
                await asyncio.sleep(0)


async def play(word: str, number: str) -> None:
    """Do what a question asks for before its answer begins."""
    match word:
        case "wait":
            await asyncio.sleep(float(number))
        case "hang":
            await asyncio.sleep(3600)
        case "forbidden":
            raise NothingPermitted("policy forbids it", detail={"candidates": []})
        case "poor":
            raise BudgetSpent("too dear")
        case "bug":
            raise KeyError("secret words of the user")


class FakeAnswering:
    """Answers by script and remembers who was cancelled, and when."""

    def __init__(self) -> None:
        self.cancelled: list[float] = []
        self.started = 0
        self.served_by = "acme/one"
        self.readings: list[Reading] = []

    async def answer(self, request: Request) -> Finished:
        self.started += 1
        word, _, number = request.question.partition(" ")
        try:
            await play(word, number)
        except asyncio.CancelledError:
            self.cancelled.append(asyncio.get_running_loop().time())
            raise
        return Finished(request.run, answer(request.question), served_by=self.served_by)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Reading]:
        self.started += 1
        reading = Reading(request, self.served_by)
        self.readings.append(reading)
        try:
            yield reading
        except asyncio.CancelledError:
            self.cancelled.append(asyncio.get_running_loop().time())
            raise


class PlainChunks:
    """Chunks of plain text in event-stream form."""

    def encode(self, delta: Delta) -> bytes:
        return b"data: " + delta.text.encode() + b"\n\n" if isinstance(delta, TextDelta) else b""

    def finish(self, completed: Any) -> bytes:
        return b"data: [DONE]\n\n"

    def fail(self, error: ShoalError) -> bytes:
        return b"data: " + encode({"error": error_object(error)}) + b"\n\n"


class PlainDoor:
    """The least dialect: `{"ask": TEXT, "stream": BOOL}`, so that the gateway is tested without one."""

    def parse(self, body: bytes, *, run: str, owner: str | None, exclude: str | None) -> Request:
        try:
            value = orjson.loads(body)
            return Request(
                run, exclude or "shoal", Prompt((say(value["ask"]),)), owner=owner, stream=bool(value.get("stream"))
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CallerError("the body is not understood") from None

    def encode(self, completed: Any, request: Request) -> bytes:
        return encode({"text": completed.answer.text, "model": request.model})

    def chunks(self, request: Request) -> PlainChunks:
        return PlainChunks()


class FakeModels:
    def models(self) -> Sequence[Mapping[str, Any]]:
        return [{"id": "shoal", "owned_by": "shoal"}, {"id": "acme@seoul/one", "owned_by": "acme-labs"}]


class FakeRuns:
    """One run, owned by `owner`."""

    def __init__(self, owner: str | None = None) -> None:
        self.owner = owner

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        return {"run": run_id, "owner": self.owner, "steps": []} if run_id == OWNED else None

    async def runs(self, limit: int, owner: str | None = None) -> Sequence[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = [{"run": OWNED, "owner": self.owner}]
        rows.append({"run": "run_" + "1" * 26, "owner": "somebody"})
        return rows[:limit]


class Ready:
    """Ready unless told otherwise."""

    reason: str | None = None

    def unready(self) -> str | None:
        return self.reason


def gateway(
    answering: Any = None, *, door: Any = None, runs: Any = None, guard: Guard | None = None, **more: Any
) -> Gateway:
    """Return a gateway over fakes."""
    return Gateway(
        answering or FakeAnswering(),
        models=FakeModels(),
        runs=runs or FakeRuns(),
        readiness=more.pop("readiness", Ready()),
        guard=guard or Guard("127.0.0.1"),
        door=door or PlainDoor(),
        **more,
    )


@asynccontextmanager
async def serving(app: Any, bounds: Bounds | None = None) -> AsyncIterator[int]:
    """Serve `app` on a free port and give the port; stops in the end."""
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    sockets = open_sockets("127.0.0.1", 0)
    task = asyncio.create_task(serve(app, sockets, bounds=bounds, ready=ready.set_result, stop=stop))
    try:
        yield int((await ready).rpartition(":")[2])
    finally:
        stop.set()
        await task


def post(ask: str, *, stream: bool = False, headers: str = "", body: bytes | None = None) -> bytes:
    """Return the bytes of one chat request."""
    content = orjson.dumps({"ask": ask, "stream": stream}) if body is None else body
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    return head.encode("latin-1") + content


async def talk(port: int, data: bytes, *, timeout: float = 10.0, closing: bool = True) -> bytes:
    """Send bytes, asking for the connection to be closed unless told otherwise, and return all that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) if closing else data)
        return await asyncio.wait_for(reader.read(), timeout)
    finally:
        writer.close()


async def _main() -> None:
    """Serve until told to stop; print the address first. What a test starts as a process of its own."""
    await serve(gateway(door=ChatDoor()), open_sockets("127.0.0.1", 0), ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    run(_main())
