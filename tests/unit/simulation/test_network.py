"""The network in memory: calls arrive, errors are translated as everywhere, nothing stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from shoal.core.endpoint import Limits
from shoal.core.errors import UpstreamError, UpstreamTimeout
from shoal.simulation.clock import simulate
from shoal.simulation.network import Network, Reply
from shoal.wire.outgoing import Outgoing

CALL = Outgoing("POST", "http://a.sim/v1/chat/completions", {}, b"{}")


class Host:
    def __init__(self, connect_s: float = 0.0, error: Exception | None = None) -> None:
        self.connect_s = connect_s
        self.error = error
        self.ended = False

    async def connect(self) -> None:
        await asyncio.sleep(self.connect_s)

    async def serve(self, outgoing: Outgoing) -> Reply:
        return Reply(200, {"X-One": "1"}, self._body())

    async def _body(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            if self.error is not None:
                raise self.error
            yield b"two"
        finally:
            self.ended = True


def of(host: Host) -> Network:
    network = Network()
    network.attach("http://a.sim/v1", host)
    return network


def test_a_call_arrives_and_its_reply_comes_back() -> None:
    async def story() -> None:
        network = of(Host())
        response = await network.send(CALL, Limits())
        assert network.under_way == 1
        assert [await response.read() for _ in range(3)] == [b"one", b"two", b""]
        assert response.headers == {"x-one": "1"}
        await response.close()
        await response.close()
        assert network.under_way == 0 and [s.body for s in network.sent] == [b"{}"]

    simulate(story())


def test_an_address_nobody_has_refuses_the_connection() -> None:
    async def story() -> None:
        network = Network()
        with pytest.raises(UpstreamError, match="refused the connection") as lost:
            await network.send(CALL, Limits())
        assert not lost.value.sent and network.sent == [] and network.under_way == 0

    simulate(story())


def test_connecting_has_its_limit() -> None:
    async def story() -> None:
        network = of(Host(connect_s=9))
        with pytest.raises(UpstreamTimeout, match="no connection") as lost:
            await network.send(CALL, Limits(connect_s=2))
        assert not lost.value.sent and asyncio.get_running_loop().time() == 2.0

    simulate(story())


def test_a_body_that_breaks_off_is_translated_at_the_border() -> None:
    async def story() -> None:
        response = await of(Host(error=ConnectionResetError())).send(CALL, Limits())
        with pytest.raises(UpstreamError, match="closed the connection"):
            assert await response.read() == b"one"
            await response.read()

    simulate(story())


def test_closing_early_stops_the_host() -> None:
    async def story() -> None:
        host = Host()
        response = await of(host).send(CALL, Limits())
        assert await response.read() == b"one"
        await response.close()
        assert host.ended

    simulate(story())
