"""The gateway over real sockets: what HTTP clients of every manner get from it."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import orjson
import pytest

from fake_gateway import FakeAnswering, post, talk
from gateway_world import Process, body, one_reply, played, status
from shoal.core.errors import SetupError
from shoal.gateway.connection import Bounds
from shoal.gateway.server import open_sockets
from shoal.wire.door_chat import ChatDoor


def test_an_answer_goes_over_the_wire_without_naming_its_server() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, post("hello"))

    reply = played(play)
    assert body(reply) == {"text": "hello", "model": "shoal"}
    assert b"server:" not in reply.lower()
    assert b"access-control" not in reply.lower()


def test_one_connection_serves_many_requests() -> None:
    async def play(port: int, answering: FakeAnswering) -> list[Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        texts = []
        for n in range(5):
            writer.write(post(f"n{n}"))
            texts.append(body(await one_reply(reader))["text"])
        writer.close()
        return texts

    assert played(play) == ["n0", "n1", "n2", "n3", "n4"]


def test_pipelined_requests_are_answered_in_order() -> None:
    async def play(port: int, answering: FakeAnswering) -> list[Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("wait 0.1") + post("second") + post("third"))
        texts = [body(await one_reply(reader))["text"] for _ in range(3)]
        writer.close()
        return texts

    assert played(play) == ["wait 0.1", "second", "third"]


def test_a_waiting_pipelined_request_is_not_late() -> None:
    async def play(port: int, answering: FakeAnswering) -> list[Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        second = post("second")
        writer.write(post("wait 0.6") + second[:-4])
        await asyncio.sleep(0.5)
        writer.write(second[-4:])
        texts = [body(await one_reply(reader))["text"] for _ in range(2)]
        writer.close()
        return texts

    assert played(play, bounds=Bounds(headers_s=0.2, body_s=0.2)) == ["wait 0.6", "second"]


def test_chunked_bodies_are_taken() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        return await talk(port, head + b'7\r\n{"ask":\r\n5\r\n"hi"}\r\n0\r\n\r\n')

    assert body(played(play))["text"] == "hi"


def test_old_http_is_answered_whole_and_closed() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        content = b'{"ask":"old"}'
        head = b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(content)
        return await talk(port, head + content, closing=False)

    reply = played(play)
    assert body(reply)["text"] == "old"
    assert b"transfer-encoding" not in reply and b"connection: close" in reply


def test_an_old_client_gets_a_stream_that_ends_with_the_connection() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        content = b'{"ask":"old","stream":true}'
        head = b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(content)
        return await talk(port, head + content, closing=False)

    reply = played(play)
    assert b"connection: close" in reply and b"data: <2>\n\n" in reply


def test_head_has_headers_and_no_body() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, b"HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")

    reply = played(play)
    assert status(reply) == 200 and b"content-length: " in reply and reply.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_wrong_methods_are_told_the_right_one(method: str) -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, f"{method} /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    reply = played(play)
    assert status(reply) == 405 and b"allow: POST" in reply
    assert body(reply)["error"]["code"] == "method_not_allowed"


def test_a_request_that_offers_an_upgrade_is_served_as_it_is() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, post("h2c", headers="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"))

    assert body(played(play))["text"] == "h2c"


def test_small_chunks_are_not_held_back() -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[int, list[float]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("drip", stream=True))
        seen = []
        for n in range(3):
            await reader.readuntil(b"<%d>" % n)
            seen.append(time.perf_counter())
        writer.close()
        return 0, seen

    _, seen = played(play)
    assert seen[2] - seen[0] < 0.04 + 0.035  # two waits of 20 ms; Nagle would add 40 ms


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_run_at_once(stream: bool) -> None:
    async def play(port: int, answering: FakeAnswering) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("then-hang" if stream else "hang", stream=stream))
        if stream:
            await reader.readuntil(b"<1>")
        else:
            await asyncio.sleep(0.1)
            assert answering.started
        left = asyncio.get_running_loop().time()
        writer.close()
        for _ in range(200):
            if answering.cancelled:
                return answering.cancelled[0] - left
            await asyncio.sleep(0.005)
        return 99.0

    assert played(play) < 0.1


def test_a_slow_reader_costs_bounded_memory_and_is_cut_off_in_the_end() -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[int, int]:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", port))
        made.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=made, limit=1024)
        writer.write(post("count 2000000", stream=True))
        await asyncio.sleep(0.7)
        early = answering.readings[0].given
        await asyncio.sleep(0.2)
        late = answering.readings[0].given
        for _ in range(300):
            if answering.cancelled:
                break
            await asyncio.sleep(0.01)
        assert answering.cancelled
        writer.transport.abort()
        return early, late

    early, late = played(play, bounds=Bounds(write_s=1.5))
    assert early == late  # the run waits
    assert late < 500_000  # what kernel and outlet hold, not what the run could have made


def test_a_port_in_use_says_the_way_out() -> None:
    taken = open_sockets("127.0.0.1", 0)
    port = taken[0].getsockname()[1]
    with pytest.raises(SetupError, match=rf"port {port} on 127.0.0.1 is in use.*--port {port + 1}"):
        open_sockets("127.0.0.1", port)
    taken[0].close()
    open_sockets("127.0.0.1", port)[0].close()


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid", "a" * 300])
def test_an_address_that_cannot_be_bound_says_so(host: str) -> None:
    with pytest.raises(SetupError, match=r"\[server\] host"):
        open_sockets(host, 0)


def test_localhost_is_bound_on_every_family_at_one_port() -> None:
    sockets = open_sockets("localhost", 0)
    assert len({s.getsockname()[1] for s in sockets}) == 1
    for opened in sockets:
        opened.close()


def test_a_process_stops_cleanly_on_sigterm_and_tells_who_is_waiting() -> None:
    process = Process()

    async def ask() -> tuple[bytes, tuple[int, bytes, float]]:
        question = orjson.dumps({"model": "shoal", "messages": [{"role": "user", "content": "hang"}]})
        waiting = asyncio.create_task(talk(process.port, post("", body=question)))
        idle = await asyncio.open_connection("127.0.0.1", process.port)
        half = await asyncio.open_connection("127.0.0.1", process.port)
        half[1].write(b"POST /v1/chat")
        await asyncio.sleep(0.3)
        ended = await asyncio.to_thread(process.stop)
        for _, writer in (idle, half):
            writer.close()
        return await waiting, ended

    reply, (code, errors, took) = asyncio.run(ask())
    assert code == 0
    assert [orjson.loads(line)["code"] for line in errors.splitlines()] == ["overloaded"]
    assert took < 6
    assert status(reply) == 503 and "stopping" in body(reply)["error"]["message"]


def test_an_idle_process_stops_at_once() -> None:
    process = Process()
    code, errors, took = process.stop()
    assert (code, errors) == (0, b"")
    assert took < 2


def test_the_real_door_answers_the_shape_clients_read() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        question = {"model": "shoal", "messages": [{"role": "user", "content": "hello"}]}
        return await talk(port, post("", body=orjson.dumps(question)))

    reply = body(played(play, door=ChatDoor()))
    assert reply["choices"][0]["message"]["content"] == "hello"
    assert reply["usage"]["shoal"]["cost_usd"] == "0.001"
