"""A clock that jumps: an asyncio loop that never waits for a timer, but moves its own time there.

Knows timers and nothing of what they are for. Where nothing is ready it looks for the next timer and makes that the
present, so hours pass in milliseconds and every run passes them alike. Work in other threads (a database driver) takes
real time: while `is_busy` says so, the loop waits for it and time stands still.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
STUCK_S = 20.0  # real seconds without a timer, a thread's word or anything ready: nobody will ever move again
SLICE_S = 0.01


class _Selector(selectors.DefaultSelector):
    """A selector whose waiting moves the loop's time instead of passing it."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; if nothing is, jump."""
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        waited = 0.0
        while not ready and (timeout is None or (timeout > 0 and self.loop.is_busy())):
            if waited >= STUCK_S:
                raise RuntimeError("the simulation is stuck: everything waits, and no timer is set")
            ready = super().select(SLICE_S)
            waited += SLICE_S
        if not ready and timeout:
            self.loop.jump(timeout)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is its own."""

    def __init__(self, is_busy: Callable[[], bool] = lambda: False) -> None:
        selector = _Selector()
        selector.loop = self
        self._seconds = 0.0
        self.is_busy = is_busy
        super().__init__(selector)

    def time(self) -> float:
        """Return the seconds since the simulation began."""
        return self._seconds

    def jump(self, seconds: float) -> None:
        """Move the present."""
        self._seconds += seconds


class SimulatedClock:
    """The clock of a world: its time is that of the loop it runs in."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return EPOCH + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def simulate(main: Coroutine[Any, Any, T], *, is_busy: Callable[[], bool] = lambda: False) -> T:
    """Run `main` to its end in a jumping loop and return what it returns."""
    with asyncio.Runner(loop_factory=lambda: JumpingLoop(is_busy)) as runner:
        return runner.run(main)
