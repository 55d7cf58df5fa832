"""A network in memory: the pool's transport without a socket.

Knows which host stands behind which address, and keeps a list of every call that reached one, so that a checker can
look afterwards who was sent what. What a host raises is translated by the same border as aiohttp's errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shoal.core.endpoint import Limits
from shoal.core.errors import UpstreamTimeout
from shoal.pool.transport import FOREIGN, Response, translate
from shoal.wire.outgoing import Outgoing


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host answers; the body comes as the iterator gives it."""

    status: int
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes, None]


class Host(Protocol):
    """Something that answers calls."""

    async def connect(self) -> None:
        """Accept a connection, or raise what a socket would."""

    async def serve(self, outgoing: Outgoing) -> Reply:
        """Answer one call, or raise what a socket would."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that reached a host."""

    at: float
    base_url: str
    body: bytes


@dataclass(slots=True)
class Network:
    """Hosts by base address; `sent` is every call that left, `under_way` how many are open now."""

    hosts: dict[str, Host] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    def attach(self, base_url: str, host: Host) -> None:
        """Put a host behind an address."""
        self.hosts[base_url.rstrip("/")] = host

    async def send(self, outgoing: Outgoing, limits: Limits) -> Response:
        """Deliver the call and return the reply once its head is there."""
        base_url = next((base for base in self.hosts if outgoing.url.startswith(base + "/")), None)
        self._open()
        reply: Reply | None = None
        try:
            reply = await self._deliver(base_url, outgoing, limits)
        except FOREIGN as error:
            raise translate(error, limits=limits) from error
        finally:
            if reply is None:
                self._close()
        return _Response(self, reply)

    async def _deliver(self, base_url: str | None, outgoing: Outgoing, limits: Limits) -> Reply:
        if base_url is None:
            raise ConnectionRefusedError("nobody listens there")
        host = self.hosts[base_url]
        try:
            async with asyncio.timeout(limits.connect_s):
                await host.connect()
        except TimeoutError:
            raise UpstreamTimeout(f"no connection to the endpoint within {limits.connect_s:g} s", sent=False) from None
        self.sent.append(Sent(asyncio.get_running_loop().time(), base_url, outgoing.body))
        return await host.serve(outgoing)

    def _open(self) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)

    def _close(self) -> None:
        self.under_way -= 1


class _Response:
    __slots__ = ("_is_open", "_network", "_reply", "headers", "status")

    def __init__(self, network: Network, reply: Reply) -> None:
        self._network = network
        self._reply = reply
        self._is_open = True
        self.status = reply.status
        self.headers = {name.lower(): value for name, value in reply.headers.items()}

    async def read(self) -> bytes:
        try:
            return await anext(self._reply.body, b"")
        except FOREIGN as error:
            raise translate(error) from error

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._network._close()
            await self._reply.body.aclose()
