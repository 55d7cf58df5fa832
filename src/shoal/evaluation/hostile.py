"""Hostile clients against a running server: half-open sockets, broken bodies, streams left in the middle.

    python -m shoal.evaluation.hostile                      start an instance, attack it, stop it
    python -m shoal.evaluation.hostile --url U --pid P      attack the one that runs

Knows what a server has to withstand and measures whether it does: half-open sockets closed within 15 s while healthy
clients' p99 stays under twice its calm value, no status of 500, memory within 5 % after three rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from shoal.gateway.connection import Bounds
from shoal.gateway.server import allow_files, run

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
START = b'{"model":"shoal","messages":[{"role":"user","content":"325 + 17 = ?"}]'
CLOSED_S = 15.0
SLOWER = 2.0
GROWN = 1.05

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"{",
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "nan": START + b',"temperature":NaN}',
    "infinity": START + b',"temperature":1e999}',
    "negative": START + b',"max_tokens":-5}',
    "huge": START + b',"n":99999999999999999999999}',
    "wrong types": b'{"model":7,"messages":{"role":"user"}}',
    "unknown role": b'{"model":"shoal","messages":[{"role":"king","content":"x"}]}',
    "no messages": b'{"model":"shoal"}',
    "empty messages": b'{"model":"shoal","messages":[]}',
    "100k messages": START[:-1] + b',{"role":"user","content":"x"}' * 100_000 + b"]}",
    "deep arrays": b'{"model":"shoal","messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": START + b',"x":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "deep but readable": START + b',"x":' + b"[" * 900 + b"]" * 900 + b"}",
    "not utf-8": b'{"model":"shoal","messages":[{"role":"user","content":"\xff\xfe"}]}',
    "lone surrogate": b'{"model":"shoal","messages":[{"role":"user","content":"\\ud800"}]}',
    "encoded surrogate": b'{"model":"shoal","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    "unknown shoal field": START + b',"shoal":{"spend":1}}',
    "bad selector": START + b',"shoal":{"only":["host:\\r\\nx"]}}',
    "newline in model": b'{"model":"shoal\\r\\nx-evil: 1","messages":[{"role":"user","content":"x"}]}',
    "nul in model": b'{"model":"\\u0000","messages":[{"role":"user","content":"x"}]}',
    "bom": b"\xef\xbb\xbf{}",
    "utf-16": '{"model":"shoal"}'.encode("utf-16"),
}
"""Bodies that a client has to be told off for: a 4xx each."""

HALVES = (
    b"",
    b"P",
    HEAD,
    HEAD + b"X-Slow: 1",
    HEAD + b"Content-Length: 50\r\n\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
)
"""Requests that never become whole."""


def request(body: bytes, headers: bytes = b"") -> bytes:
    """Return a whole chat request; with `Connection: close` among the headers the reply ends with the connection."""
    return HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured."""

    sockets: int
    closed_s: float
    calm_p50_ms: float
    calm_p99_ms: float
    under_p50_ms: float
    under_p99_ms: float
    statuses: dict[str, int]
    memory_before_mb: float | None
    memory_after_mb: float | None

    @property
    def faults(self) -> list[str]:
        """Return which bars were missed, in words."""
        found = []
        if self.closed_s > CLOSED_S:
            found.append(f"half-open sockets were closed after {self.closed_s:.1f} s, over {CLOSED_S:g} s")
        if self.under_p99_ms > SLOWER * self.calm_p99_ms:
            found.append(f"healthy p99 rose {self.under_p99_ms / self.calm_p99_ms:.1f} times, over {SLOWER:g}")
        if any(status.startswith("5") for status in self.statuses):
            found.append(f"a hostile request was answered with 5xx: {self.statuses}")
        if self.memory_before_mb and self.memory_after_mb and self.memory_after_mb > GROWN * self.memory_before_mb:
            found.append(f"memory grew from {self.memory_before_mb:.1f} to {self.memory_after_mb:.1f} MB")
        return found


async def talk(port: int, data: bytes, timeout_s: float = 30.0) -> bytes:
    """Send bytes and return all that comes back until the connection ends; a reset is an end too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), timeout_s)
        return b""
    finally:
        writer.transport.abort()


async def healthy(port: int, stop: asyncio.Event, at_least: int, clients: int = 4) -> list[float]:
    """Ask sums over kept-alive connections until told to stop; return the seconds of each answer."""
    took: list[float] = []
    draw = random.Random("healthy")

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not stop.is_set() or len(took) < at_least:
            sum_asked = f"{draw.randrange(10, 999)} + {draw.randrange(10, 999)} = ?"
            question = {"model": "shoal-fast", "messages": [{"role": "user", "content": sum_asked}]}
            asked = time.perf_counter()
            writer.write(request(orjson.dumps(question)))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r", 1)[0]))
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"a healthy client was answered {head[:40]!r}")
            took.append(time.perf_counter() - asked)
            await asyncio.sleep(0.02)
        writer.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return sorted(took)


async def half_open(port: int, count: int) -> float:
    """Open sockets that never send a whole request; return the seconds until the last one was closed."""
    began = time.monotonic()

    async def one(number: int) -> float:
        await talk(port, HALVES[number % len(HALVES)], timeout_s=60)
        return time.monotonic() - began

    return max(await asyncio.gather(*(one(number) for number in range(count))))


async def hostility(port: int) -> Counter[str]:
    """One round of bodies, bytes and leavers; return how often each status was answered (`0`: closed without one)."""
    statuses: Counter[str] = Counter()

    def note(reply: bytes) -> None:
        statuses[reply[9:12].decode() if reply.startswith(b"HTTP/") else "0"] += 1

    close = b"Connection: close\r\n"
    for body in BODIES.values():
        note(await talk(port, request(body, close)))
    for _ in range(4):
        note(await talk(port, request(b"[" + b"1," * 3_500_000 + b"1]", close)))  # under the limit, read, refused
        note(await talk(port, HEAD + b"Content-Length: 10485760\r\n\r\n"))
    draw = random.Random("hostile")
    for _ in range(50):
        broken = bytearray(request(START + b"}", close))
        for _ in range(8):
            broken[draw.randrange(60)] = draw.randrange(256)
        note(await talk(port, bytes(broken)))
    for number in range(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(START + (b',"stream":true}' if number % 2 else b"}")))
        if number % 2:
            await reader.read(50)
        writer.transport.abort()
    return statuses


def memory_mb(pid: int | None) -> float | None:
    """Return the resident memory of a process, or None where it cannot be read."""
    with suppress(OSError, TypeError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    return None


async def attack(port: int, pid: int | None, *, sockets: int, rounds: int) -> Findings:
    """Measure calm, then under half-open sockets, then memory over rounds of everything."""
    calm_over, under_over = asyncio.Event(), asyncio.Event()
    calm_over.set()
    await healthy(port, calm_over, 100)  # warm
    calm = await healthy(port, calm_over, 600)
    working = asyncio.create_task(healthy(port, under_over, 600))
    closed_s = await half_open(port, sockets)
    under_over.set()
    under = await working
    await hostility(port)  # the first round fills pools and caches
    before, statuses = memory_mb(pid), Counter[str]()
    for _ in range(rounds):
        statuses += await hostility(port)
    await asyncio.sleep(1)
    return Findings(
        sockets=sockets,
        closed_s=closed_s,
        calm_p50_ms=quantile_ms(calm, 0.5),
        calm_p99_ms=quantile_ms(calm, 0.99),
        under_p50_ms=quantile_ms(under, 0.5),
        under_p99_ms=quantile_ms(under, 0.99),
        statuses=dict(sorted(statuses.items())),
        memory_before_mb=before,
        memory_after_mb=memory_mb(pid),
    )


def quantile_ms(ordered: list[float], q: float) -> float:
    """Return a quantile of sorted seconds, in milliseconds."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000


@contextmanager
def instance() -> Iterator[tuple[str, int]]:
    """Start an instance with the practice pool on a free port; gives its address and process id."""
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "shoal", "--state", state, "serve", "--port", "0", "--json"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line:
                raise RuntimeError("the instance did not start; `shoal serve` says why")
            yield orjson.loads(line)["url"], child.pid
        finally:
            child.terminate()
            child.wait(20)


def main() -> int:
    """Attack, print the findings, and say with the exit status whether every bar was kept."""
    parser = argparse.ArgumentParser(description="Hostile clients against a running server.")
    parser.add_argument("--url", help="address of a running instance; without, one is started")
    parser.add_argument("--pid", type=int, help="its process id, to watch its memory")
    parser.add_argument("--sockets", type=int, default=1000, help="half-open sockets")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of hostile load")
    given = parser.parse_args()
    allow_files(Bounds())

    def measured(url: str, pid: int | None) -> Findings:
        return run(attack(urlsplit(url).port or 80, pid, sockets=given.sockets, rounds=given.rounds))

    if given.url:
        findings = measured(given.url, given.pid)
    else:
        with instance() as (url, pid):
            findings = measured(url, pid)
    faults = findings.faults
    print(orjson.dumps({**asdict(findings), "faults": faults}, option=orjson.OPT_INDENT_2).decode())
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
