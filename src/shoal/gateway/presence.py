"""Presence: is the client still there while its answer is being made?

Knows the one thing ASGI says about it. Inside `with Presence(...)` the current task is cancelled the moment the client
leaves, so the run and everything upstream of it stop at once, streamed or not.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from shoal.gateway.body import Gone
from shoal.gateway.reply import Receive


class Presence:
    """Watches the client; leaves the block with `Gone` if it left. The body must have been read before."""

    __slots__ = ("_is_settled", "_receive", "_task", "_watcher", "is_gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_gone = False
        self._is_settled = False

    def __enter__(self) -> Presence:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = task.get_loop().create_task(self._watch())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._watcher.cancel()
        if self.is_gone and error is not None:
            while self._task.cancelling():
                self._task.uncancel()
            raise Gone from None

    def settle(self) -> None:
        """Say that the answer is complete: what is left is to send it, and leaving now cancels nothing."""
        self._is_settled = True

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._is_settled:
            self.is_gone = True
            self._task.cancel()
