"""A streamed reply begins late, batches, holds a fast run back, and beats while nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from shoal.gateway.stream import HEARTBEAT, HIGH_WATER, Outlet

Messages = list[MutableMapping[str, Any]]


def played(play: Callable[[Outlet, Messages, asyncio.Event], Awaitable[None]], heartbeat_s: float = 10) -> Messages:
    """Run `play` with an outlet, what it sent, and an event that lets sends through (set at first)."""
    sent: Messages = []

    async def main() -> None:
        gate = asyncio.Event()
        gate.set()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)
            await gate.wait()

        outlet = Outlet(send, lambda: [(b"x-shoal-run", b"r")], heartbeat_s=heartbeat_s)
        try:
            await play(outlet, sent, gate)
        finally:
            await outlet.close()

    asyncio.run(main())
    return sent


def bodies(sent: Messages) -> list[bytes]:
    return [message["body"] for message in sent if message["type"] == "http.response.body"]


def test_nothing_is_sent_before_the_first_byte() -> None:
    async def play(outlet: Outlet, sent: Messages, gate: asyncio.Event) -> None:
        await outlet.put(b"")
        await asyncio.sleep(0.01)
        assert not outlet.has_begun and sent == []

    assert played(play) == []


def test_what_is_put_together_leaves_together() -> None:
    async def play(outlet: Outlet, sent: Messages, gate: asyncio.Event) -> None:
        for piece in (b"a", b"b", b"c"):
            await outlet.put(piece)
        await outlet.end(b"d")

    sent = played(play)
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]
    assert bodies(sent) == [b"abcd"]
    assert sent[-1]["more_body"] is False


def test_a_slow_reader_holds_the_run_back() -> None:
    async def play(outlet: Outlet, sent: Messages, gate: asyncio.Event) -> None:
        gate.clear()
        put = 0

        async def produce() -> None:
            nonlocal put
            for _ in range(1000):
                await outlet.put(b"x" * 1024)
                put += 1

        task = asyncio.create_task(produce())
        await asyncio.sleep(0.05)
        assert not task.done()
        assert put * 1024 <= 2 * HIGH_WATER
        gate.set()
        await task
        await outlet.end()

    assert sum(map(len, bodies(played(play)))) == 1000 * 1024


def test_quiet_runs_get_heartbeats_and_busy_ones_do_not() -> None:
    async def quiet(outlet: Outlet, sent: Messages, gate: asyncio.Event) -> None:
        await asyncio.sleep(0.12)
        assert outlet.has_begun
        await outlet.end(b"end")

    async def busy(outlet: Outlet, sent: Messages, gate: asyncio.Event) -> None:
        for _ in range(12):
            await outlet.put(b"x")
            await asyncio.sleep(0.01)
        await outlet.end(b"end")

    assert 2 <= bodies(played(quiet, 0.04)).count(HEARTBEAT) <= 3
    assert HEARTBEAT not in bodies(played(busy, 0.06))


def test_a_broken_reply_raises_instead_of_waiting() -> None:
    async def main() -> None:
        async def send(message: MutableMapping[str, Any]) -> None:
            raise RuntimeError("the server broke it off")

        outlet = Outlet(send, list, heartbeat_s=10)
        await outlet.put(b"x")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await outlet.put(b"x" * 2 * HIGH_WATER)
        await outlet.close()

    asyncio.run(main())
