"""What the front door needs from the rest of the house, as Protocols for the assembly to fill.

Knows the shapes only. Nothing here says how a request is answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from shoal.core.item import Delta
from shoal.core.request import Request
from shoal.wire.door_reply import Finished


class Heading(Protocol):
    """What the reply's headers say of a run; of a stream it is known once the first delta is there."""

    @property
    def run(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def served_by(self) -> str: ...
    @property
    def policy(self) -> str: ...


class Completed(Finished, Heading, Protocol):
    """A finished run: what the door writes of it, and what the headers say."""


class Streaming(Heading, Protocol):
    """A run being streamed: iterate for its deltas; `completed` is there once they have ended."""

    @property
    def completed(self) -> Completed: ...
    def __aiter__(self) -> AsyncIterator[Delta]: ...


class Answering(Protocol):
    """Answers requests; raises ShoalError for what goes wrong, and stops at once when cancelled."""

    async def answer(self, request: Request) -> Completed:
        """Serve one request whole."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[Streaming]:
        """Serve one request as deltas; leaving early cancels the run."""


class Models(Protocol):
    """What `GET /v1/models` lists."""

    def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the names a client may use, each at least `{"id", "owned_by"}`; the rest is shown as it is."""


class Runs(Protocol):
    """What is remembered of runs. A view may carry `owner`; it is checked by the door and never shown."""

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Return one run's view in plain values, or None where it is unknown."""

    async def runs(self, limit: int, owner: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Return the newest runs, newest first; only those of `owner` where one is given."""


class Readiness(Protocol):
    """Whether requests can be served now."""

    def unready(self) -> str | None:
        """Return why not, in one sentence, or None when ready."""
