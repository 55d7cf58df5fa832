"""The limiter: how many calls one endpoint gets at once, and a bounded line of those who wait for a seat.

Knows seats and waiters. Knows nothing of breakers or routes: a waiter may stand in the lines of several endpoints at
the same time and takes the first seat that any of them frees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shoal.pool.store import Store, Table

LINE = 1024  # waiters one endpoint keeps; more are told that it is too busy

Waiter = asyncio.Future["Limiter | None"]
"""Resolved with the limiter whose seat was given, or with None: look around again."""


class Limiter:
    """The seats of one endpoint.

    INVARIANT: seats taken <= seats, and while anybody waits no seat is free.
    """

    __slots__ = ("_line", "_store", "endpoint", "seats")

    def __init__(self, endpoint: str, seats: int, store: Store) -> None:
        self.endpoint = endpoint
        self.seats = seats
        self._store = store
        self._line: dict[Waiter, None] = {}

    @property
    def taken(self) -> int:
        """How many seats are taken."""
        return self._store.read(Table.SEATS, self.endpoint) or 0

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @property
    def is_free(self) -> bool:
        """Whether a seat can be had at once."""
        return self.taken < self.seats

    @property
    def has_room(self) -> bool:
        """Whether one more may stand in line."""
        return len(self._line) < LINE

    def take(self) -> bool:
        """Take a seat; return False where none is free."""
        while (taken := self._store.read(Table.SEATS, self.endpoint)) is None or taken < self.seats:
            if self._store.swap(Table.SEATS, self.endpoint, taken, (taken or 0) + 1):
                return True
        return False

    def release(self) -> None:
        """Give a seat back: it goes to the first in line, if anybody waits."""
        if self.taken <= self.seats:
            for waiter in self._line:
                if not waiter.done():
                    del self._line[waiter]
                    waiter.set_result(self)
                    return
        while not self._store.swap(Table.SEATS, self.endpoint, taken := self.taken, taken - 1 or None):
            pass

    def resize(self, seats: int) -> None:
        """Change how many seats there are; those who wait look around again."""
        self.seats = seats
        self.wake()

    def wake(self) -> None:
        """Let all who wait look around again, because the endpoint's condition changed."""
        for waiter in self._line:
            if not waiter.done():
                waiter.set_result(None)

    def _enter(self, waiter: Waiter) -> None:
        self._line[waiter] = None

    def _leave(self, waiter: Waiter) -> None:
        self._line.pop(waiter, None)


async def wait_for_seat(limiters: Sequence[Limiter], seconds: float | None) -> Limiter | None:
    """Wait in all these lines; return the limiter that gave its seat, or None when it is time to look around again."""
    waiter: Waiter = asyncio.get_running_loop().create_future()
    for limiter in limiters:
        limiter._enter(waiter)
    try:
        await asyncio.wait((waiter,), timeout=seconds)
    except asyncio.CancelledError:
        if waiter.done() and (given := waiter.result()) is not None:
            given.release()
        raise
    finally:
        for limiter in limiters:
            limiter._leave(waiter)
    return waiter.result() if waiter.done() else None
