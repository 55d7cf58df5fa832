"""Load: a fast upstream with a fixed reply, and a client that measures it, both as plain as Python allows.

Both ends are written on sockets directly so that what is measured is the thing between them. The upstream says the
same two hundred words to everybody and is only ever used by benches.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import orjson

REPLY = "The quick brown fox jumps over the lazy dog. " * 32


def _whole() -> bytes:
    body = orjson.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 0,
            "model": "fixed",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": REPLY},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 20, "completion_tokens": 200, "total_tokens": 220},
        }
    )
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Upstream(asyncio.Protocol):
    """Answers every complete request on a connection with the same bytes."""

    REPLY = _whole()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while True:
            head, found, rest = self._held.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            if len(rest) < length:
                return
            self._held = rest[length:]
            self._transport.write(self.REPLY)


def _serve(listening: socket.socket) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Upstream, sock=listening)
        async with server:
            await server.serve_forever()

    import uvloop

    uvloop.run(run())


@contextmanager
def upstream() -> Iterator[str]:
    """Serve the fixed reply from a process of its own; gives its base URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(listening,), daemon=True)
    process.start()
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.join(5)


@dataclass(frozen=True, slots=True)
class Load:
    """What a client saw: seconds for each request that was answered 200, and the others."""

    latencies_s: tuple[float, ...]
    failed: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return len(self.latencies_s) / self.seconds

    def quantile_ms(self, q: float) -> float:
        """A quantile of the latency, in milliseconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000


async def drive(url: str, *, model: str, requests: int, concurrency: int, words: int = 12) -> Load:
    """Send `requests` chat requests over `concurrency` kept-alive connections, each waiting for its answer."""
    parts = urlsplit(url)
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "please say something " * words}]})
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    call = head.encode() + body
    latencies: list[float] = []
    failed = 0

    async def one(count: int) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(count):
            started = time.perf_counter()
            writer.write(call)
            header = await reader.readuntil(b"\r\n\r\n")
            length = next(int(v[15:]) for v in header.lower().split(b"\r\n") if v.startswith(b"content-length:"))
            await reader.readexactly(length)
            if header.startswith(b"HTTP/1.1 200"):
                latencies.append(time.perf_counter() - started)
            else:
                failed += 1
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(one(requests // concurrency) for _ in range(concurrency)))
    return Load(tuple(latencies), failed, time.perf_counter() - started)
