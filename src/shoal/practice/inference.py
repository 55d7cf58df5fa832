"""Inference: runs what models produce on a few threads, fairly, so that the event loop stays free.

Knows lanes (one a model), a bounded queue and cancelled work. Knows nothing of weights, tokens or HTTP: work is a
function that gives an iterator, and its items come out on the event loop in the same order.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_WAITING = 4096


class QueueFull(Exception):
    """Too much work waits already."""


class _Work(Generic[Item]):
    """One piece of work and the way its items travel from a thread to the loop."""

    def __init__(self, make: Callable[[], Iterator[Item]], each: bool) -> None:
        self.make = make
        self.each = each
        self.cancelled = False
        self.loop = asyncio.get_running_loop()
        self.out: asyncio.Queue[list[Item] | BaseException | None] = asyncio.Queue()

    def run(self) -> None:
        """Produce everything, unless the reader has left."""
        try:
            items: list[Item] = []
            for item in self.make():
                if self.cancelled:
                    return
                items.append(item)
                if self.each:
                    self._post(items)
                    items = []
            self._post(items)
            self._post(None)
        except Exception as error:  # crosses to the reader, which raises it
            self._post(error)

    def _post(self, what: list[Item] | BaseException | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.out.put_nowait, what)
        except RuntimeError:  # the loop has ended: nobody reads any more
            self.cancelled = True


class Inference:
    """A few threads that take work from the lanes in turn."""

    def __init__(self, *, threads: int = 1, waiting: int = MAX_WAITING) -> None:
        self._lanes: dict[str, deque[_Work[object]]] = {}
        self._turn: deque[str] = deque()  # lanes with work, the next one first
        self._room = waiting
        self._waiting = 0
        self._stopped = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._serve, name=f"inference-{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def stream(
        self, lane: str, make: Callable[[], Iterator[Item]], *, each: bool = True
    ) -> AsyncGenerator[list[Item], None]:
        """Yield what `make` produces, item by item or (`each=False`) all at once; leaving early cancels the rest.

        Raises:
            QueueFull: too much work waits already.
        """
        work = _Work(make, each)
        self._enqueue(lane, work)
        try:
            while (got := await work.out.get()) is not None:
                if isinstance(got, BaseException):
                    raise got
                yield got
        finally:
            work.cancelled = True

    def stop(self) -> None:
        """Let the threads end after what they are doing."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _enqueue(self, lane: str, work: _Work[Item]) -> None:
        with self._changed:
            if self._waiting >= self._room:
                raise QueueFull
            queue = self._lanes.setdefault(lane, deque())
            if not queue:
                self._turn.append(lane)
            queue.append(work)  # type: ignore[arg-type]  # lanes hold work of any item
            self._waiting += 1
            self._changed.notify()

    def _take(self) -> _Work[object] | None:
        with self._changed:
            while not self._turn and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return None
            lane = self._turn.popleft()
            queue = self._lanes[lane]
            work = queue.popleft()
            if queue:
                self._turn.append(lane)
            self._waiting -= 1
            return work

    def _serve(self) -> None:
        while (work := self._take()) is not None:
            if not work.cancelled:
                work.run()
