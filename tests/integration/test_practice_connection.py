"""The practice pool's own HTTP: bad manners of clients, bounds, and a port that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shoal.practice import connection
from shoal.practice.connection import Call, Port, Reply


async def echo(call: Call, reply: Reply) -> None:
    """Answer with what was asked; `/slow` waits, `/broken` raises, `/stream` comes in chunks."""
    if call.path == "/slow":
        await asyncio.sleep(0.1)
    if call.path == "/broken":
        raise RuntimeError("broken handler")
    if call.path == "/stream":
        await reply.begin(200, {"content-type": "text/plain"})
        for part in (b"one ", b"", b"two"):
            await reply.send(part)
        return await reply.finish()
    await reply.whole(200, {"method": call.method, "path": call.path, "body": call.body.decode()})


def talk(scenario: Callable[[Port, Callable[[bytes], Awaitable[bytes]]], Awaitable[None]]) -> None:
    """Run `scenario` with an open port and a way to send bytes and read all that comes back."""

    async def main() -> None:
        port = Port(echo)
        await port.open()

        async def send(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(data)
            try:
                return await asyncio.wait_for(reader.read(), 5)
            finally:
                writer.close()

        try:
            await scenario(port, send)
        finally:
            port.release()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scenario(port: Port, send: Any) -> None:
        got = await send(b"GET /slow HTTP/1.1\r\n\r\nGET /two?x=1 HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert got.count(b"HTTP/1.1 200 OK") == 2
        assert got.index(b"/slow") < got.index(b"/two")
        assert b"x=1" not in got

    talk(scenario)


def test_a_body_may_come_in_any_pieces_and_be_announced() -> None:
    async def scenario(port: Port, send: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        head = b"POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
        for byte in head:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert b'"body":"abcde"' in await reader.read()
        writer.close()

    talk(scenario)


def test_chunks_of_a_streamed_reply_arrive_whole() -> None:
    async def scenario(port: Port, send: Any) -> None:
        got = await send(b"GET /stream HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert got.endswith(b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")

    talk(scenario)


def test_a_handler_that_breaks_answers_500_and_the_next_client_is_served() -> None:
    async def scenario(port: Port, send: Any) -> None:
        assert (await send(b"GET /broken HTTP/1.1\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 500 ")
        assert (await send(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    talk(scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 80_000, 431),
        (b"POST / HTTP/1.1\r\ncontent-length: 10000000\r\n\r\n" + b"a" * 9_000_000, 413),
    ],
)
def test_what_cannot_be_taken_is_refused(data: bytes, status: int) -> None:
    async def scenario(port: Port, send: Any) -> None:
        try:
            got = await send(data)
        except ConnectionResetError:  # the refusal may be overtaken by the reset of what was still being sent
            assert status == 413
            return
        assert got.startswith(b"HTTP/1.1 %d " % status)

    talk(scenario)


def test_half_open_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 0.15)
    monkeypatch.setattr(connection, "IDLE_S", 0.3)

    async def scenario(port: Port, send: Any) -> None:
        for start in (b"", b"GET / HTT", b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab"):
            assert await send(start) == b""
        assert (await send(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    talk(scenario)


def test_a_closed_port_keeps_its_number_and_opens_again() -> None:
    async def scenario(port: Port, send: Any) -> None:
        number = port.number
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            await asyncio.sleep(0.01)
            port.close()
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", number)
            await port.open()
            assert port.number == number and port.is_open
            assert await send(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")

    talk(scenario)


def test_a_full_port_turns_clients_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 1)

    async def scenario(port: Port, send: Any) -> None:
        _, first = await asyncio.open_connection("127.0.0.1", port.number)
        await asyncio.sleep(0.02)
        try:
            assert await send(b"") == b""
        except ConnectionResetError:
            pass
        first.close()
        await asyncio.sleep(0.02)
        assert await send(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")

    talk(scenario)
