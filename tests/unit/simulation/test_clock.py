"""The jumping clock: hours pass at once, in the order they should, and real threads are waited for."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from shoal.simulation import clock as clocks
from shoal.simulation.clock import EPOCH, SimulatedClock, simulate


def test_hours_pass_in_no_time_and_in_order() -> None:
    async def story() -> list[tuple[float, str]]:
        clock, seen = SimulatedClock(), []

        async def sleeper(seconds: float, name: str) -> None:
            await clock.sleep(seconds)
            seen.append((clock.monotonic(), name))

        await asyncio.gather(sleeper(7200, "late"), sleeper(60, "early"), sleeper(3600, "middle"))
        assert (clock.now() - EPOCH).total_seconds() == 7200
        return seen

    began = time.monotonic()
    assert simulate(story()) == [(60.0, "early"), (3600.0, "middle"), (7200.0, "late")]
    assert time.monotonic() - began < 5


def test_timeouts_count_simulated_seconds() -> None:
    async def story() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert simulate(story()) == 1000.0


def test_a_world_in_which_nobody_can_ever_move_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "STUCK_S", 0.05)

    async def story() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stuck"):
        simulate(story())


def test_time_stands_still_while_a_thread_is_busy() -> None:
    busy = threading.Event()

    def work() -> int:
        time.sleep(0.05)
        return 3

    async def story() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        alarm = asyncio.create_task(asyncio.sleep(100))
        busy.set()
        found = await loop.run_in_executor(None, work)
        busy.clear()
        at = loop.time()
        await alarm
        return found, at

    assert simulate(story(), is_busy=busy.is_set) == (3, 0.0)
