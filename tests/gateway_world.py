"""A running gateway for tests: in the test's own loop, or in a process of its own; and how to read raw replies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop

from fake_gateway import FakeAnswering, gateway, serving
from shoal.gateway.connection import Bounds

Play = Callable[[int, FakeAnswering], Awaitable[Any]]


def played(play: Play, *, bounds: Bounds | None = None, **more: Any) -> Any:
    """Run `play` against a server over scripted answers."""

    async def main() -> Any:
        answering = FakeAnswering()
        async with serving(gateway(answering, **more), bounds) as port:
            return await play(port, answering)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def status(reply: bytes) -> int:
    """Return the status of raw reply bytes."""
    return int(reply.split(b" ", 2)[1])


def body(reply: bytes) -> Any:
    """Return the JSON of raw reply bytes."""
    return orjson.loads(reply.partition(b"\r\n\r\n")[2])


async def one_reply(reader: asyncio.StreamReader) -> bytes:
    """Read one reply of a kept-alive connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


class Process:
    """The fake gateway in a process of its own."""

    def __init__(self) -> None:
        tests = Path(__file__).parent
        started = time.monotonic()
        self.child = subprocess.Popen(
            [sys.executable, str(tests / "fake_gateway.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(tests)},
        )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        self.start_s = time.monotonic() - started
        self.port = int(line.rpartition(b":")[2])

    def stop(self) -> tuple[int, bytes, float]:
        """Stop it with SIGTERM; return its exit status, what it wrote to stderr, and how long it took."""
        began = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        _, errors = self.child.communicate(timeout=20)
        return self.child.returncode, errors, time.monotonic() - began
