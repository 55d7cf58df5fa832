"""The pool over real sockets: keep-alive, limits, cancelling, no redirects, no cookies, no proxy, no delay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from shoal.core.endpoint import Limits
from shoal.core.errors import UpstreamError, UpstreamTimeout
from shoal.pool.exchange import Exchange
from shoal.pool.transport import AiohttpTransport
from shoal.wire.outgoing import Outgoing

LIMITS = Limits(connect_s=1, first_byte_s=0.4, gap_s=0.3, total_s=2)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


@dataclass
class Server:
    """A server of raw bytes that remembers what it was sent and which connections were dropped."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    def call(self, path: str = "/v1/chat/completions", body: bytes = b"{}") -> Outgoing:
        return Outgoing("POST", f"http://127.0.0.1:{self.port}{path}", {"content-type": "application/json"}, body)


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[Server]:
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                server.heads.append(head)
                server.asked.set()
                length = next(int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-le"))
                await reader.readexactly(length)
                await talk(reader, writer, head)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            server.dropped.set()
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await listener.wait_closed()


async def say_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    writer.write(OK)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    await reader.read()


async def ask(transport: AiohttpTransport, outgoing: Outgoing) -> tuple[int, bytes]:
    async with Exchange(transport, LIMITS) as exchange:
        await exchange.send(outgoing)
        return exchange.status, await exchange.body()


@asynccontextmanager
async def transporting() -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport()
    try:
        yield transport
    finally:
        await transport.close()


def test_one_connection_serves_many_calls_without_nagles_delay() -> None:
    async def story() -> None:
        async with serving(say_ok) as server, transporting() as transport:
            for _ in range(5):
                assert await ask(transport, server.call()) == (200, b"ok")
            assert server.connections == 1
            connector = transport._session.connector if transport._session is not None else None
            assert connector is not None
            [(protocol, _)] = next(iter(connector._conns.values()))
            assert protocol.transport is not None
            sock = protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    asyncio.run(story())


def test_nothing_is_added_that_a_provider_could_stumble_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def cookie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: a=b; Path=/\r\ncontent-length: 0\r\n\r\n")

    async def story() -> None:
        async with serving(cookie) as server, transporting() as transport:
            await ask(transport, server.call())
            await ask(transport, server.call())
            heads = b"".join(server.heads).lower()
            assert b"cookie" not in heads and heads.count(b"accept-encoding: identity") == 2

    asyncio.run(story())


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async def away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(b"HTTP/1.1 307 Go\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")

    async def story() -> None:
        async with serving(away) as server, transporting() as transport:
            assert await ask(transport, server.call()) == (307, b"")
            assert len(server.heads) == 1

    asyncio.run(story())


def test_silence_is_noticed_and_the_connection_dropped() -> None:
    async def story() -> None:
        async with serving(say_nothing) as server, transporting() as transport:
            with pytest.raises(UpstreamTimeout, match="no first byte within 0.4 s"):
                await ask(transport, server.call())
            await asyncio.sleep(0.05)
            assert server.connections == 1
            assert transport._session is not None and not transport._session.connector._acquired  # type: ignore[union-attr]

    asyncio.run(story())


def test_a_stall_in_the_middle_is_noticed() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await reader.read()

    async def story() -> None:
        async with serving(stall) as server, transporting() as transport:
            with pytest.raises(UpstreamTimeout, match="fell silent for 0.3 s"):
                await ask(transport, server.call())

    asyncio.run(story())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_broken_replies_are_errors_of_ours(raw: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(raw)
        await writer.drain()
        raise ConnectionError

    async def story() -> None:
        async with serving(broken) as server, transporting() as transport:
            with pytest.raises(UpstreamError) as lost:
                await ask(transport, server.call())
            assert lost.value.sent and not isinstance(lost.value, UpstreamTimeout)

    asyncio.run(story())


def test_nobody_listening_is_known_not_to_have_been_sent() -> None:
    async def story() -> None:
        async with serving(say_ok) as server:
            port = server.port
        async with transporting() as transport:
            with pytest.raises(UpstreamError, match="refused the connection") as lost:
                await ask(transport, Outgoing("POST", f"http://127.0.0.1:{port}/v1", {}, b"{}"))
            assert not lost.value.sent

    asyncio.run(story())


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/x", "http://127.0.0.1:99999/"])
def test_a_bad_address_is_an_error_of_ours(url: str) -> None:
    async def story() -> None:
        async with transporting() as transport:
            with pytest.raises(UpstreamError) as lost:
                await ask(transport, Outgoing("POST", url, {}, b"{}"))
            assert not lost.value.sent

    asyncio.run(story())


def test_a_header_that_would_inject_another_is_never_sent() -> None:
    async def story() -> None:
        async with serving(say_ok) as server, transporting() as transport:
            bad = Outgoing("POST", server.call().url, {"authorization": "Bearer a\r\nx-evil: 1"}, b"{}")
            with pytest.raises(UpstreamError):
                await ask(transport, bad)
            assert server.heads == []

    asyncio.run(story())


def test_a_caller_who_leaves_drops_the_connection_at_once() -> None:
    async def story() -> None:
        async with serving(say_nothing) as server, transporting() as transport:
            task = asyncio.create_task(ask(transport, server.call()))
            await server.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(1):
                await server.dropped.wait()

    asyncio.run(story())
