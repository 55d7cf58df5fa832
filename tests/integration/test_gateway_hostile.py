"""What the gateway withstands: broken, huge, slow and malicious clients get a clear 4xx or a closed socket."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_gateway import FakeAnswering, gateway, post, talk
from gateway_world import Process, body, one_reply, played, status
from shoal.evaluation.hostile import BODIES, HALVES, HEAD
from shoal.gateway.connection import Bounds
from shoal.gateway.guard import Guard
from shoal.wire.door_chat import ChatDoor

KEY = "sk-very-secret-key-0123456789"
QUESTION: dict[str, Any] = {"model": "shoal", "messages": [{"role": "user", "content": "hello"}]}


def keyed() -> Guard:
    """Return a guard with a key that must never be seen."""
    return Guard("127.0.0.1", keys=[KEY])


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_a_clear_4xx(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, post("", body=BODIES[name], headers=f"Authorization: Bearer {KEY}\r\n"))

    reply = played(play, door=ChatDoor(), guard=keyed())
    assert 400 <= status(reply) < 500
    assert body(reply)["error"]["message"]
    assert KEY.encode() not in reply and KEY not in caplog.text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_unread_and_the_client_sees_it(chunked: bool) -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[bytes, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(reader.read())
        piece = b"x" * 65536
        length = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 1073741824\r\n\r\n"
        writer.write(HEAD + length)
        sent = 0
        while not reading.done() and sent < 64 * 1024 * 1024:
            writer.write(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
            await writer.drain()
            await asyncio.sleep(0.0005)
            sent += len(piece)
        reply = await reading
        writer.transport.abort()
        return reply, sent

    reply, sent = played(play)
    assert status(reply) == 413 and body(reply)["error"]["code"] == "too_large"
    assert sent < 40 * 1024 * 1024


def test_a_client_that_waits_for_leave_to_send_never_sends_a_body_that_is_too_large() -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")

    assert status(played(play)) == 413


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS where none is spoken
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /%0d%0ax-evil:%201 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /%ff%fe%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /v1/models/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: -5\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (HEAD + b"X-Long: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (HEAD + b"X-Long: " + b"x" * 400_000, 431),
        (HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET /" + b"a" * 400_000, 431),
    ],
)
def test_a_hostile_head_is_refused(head: bytes, expected: int) -> None:
    async def play(port: int, answering: FakeAnswering) -> bytes:
        return await talk(port, head, closing=False)

    reply = played(play, bounds=Bounds(headers_s=1.0, body_s=1.0, keep_alive_s=1, drain_s=0.5))
    assert status(reply) == expected
    assert b"x-evil" not in reply.partition(b"\r\n\r\n")[0].lower()
    assert orjson.loads(reply.rpartition(b"\r\n\r\n")[2])["error"]["type"]


def test_two_hundred_half_open_sockets_are_closed_while_others_are_served() -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[list[float], list[int], list[float]]:
        began = time.monotonic()

        async def hang(number: int) -> tuple[float, bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HALVES[number % len(HALVES)])
            reply = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return time.monotonic() - began, reply

        async def healthy() -> list[float]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            took = []
            while time.monotonic() - began < 1.5:
                asked = time.perf_counter()
                writer.write(post("hello"))
                assert status(await one_reply(reader)) == 200
                took.append(time.perf_counter() - asked)
                await asyncio.sleep(0.01)
            writer.close()
            return took

        working = asyncio.create_task(healthy())
        hung = await asyncio.gather(*(hang(n) for n in range(200)))
        return [seconds for seconds, _ in hung], [status(r) if r else 0 for _, r in hung], await working

    seconds, statuses, took = played(play, bounds=Bounds(headers_s=1.0, body_s=1.0))
    assert max(seconds) < 3.0
    assert set(statuses) <= {0, 408}
    assert len(took) > 20 and sorted(took)[len(took) // 2] < 0.05


def test_the_usual_bounds_close_half_open_sockets_within_15_seconds() -> None:
    assert Bounds().headers_s <= 12 and Bounds().body_s <= 12


def test_dripping_bytes_does_not_buy_time() -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[float, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
        writer.write(HEAD + b"X-Drip: ")
        reading = asyncio.create_task(reader.read())
        while not reading.done() and time.monotonic() - began < 5:
            writer.write(b"x")
            await asyncio.sleep(0.05)
        took = time.monotonic() - began
        reply = await reading
        writer.transport.abort()
        return took, reply

    took, reply = played(play, bounds=Bounds(headers_s=0.5, drain_s=0.3))
    assert took < 2.0 and status(reply) == 408


def test_a_slow_upload_that_keeps_coming_is_taken_and_a_dripping_one_is_not() -> None:
    async def send(port: int, piece: bytes, pause_s: float) -> bytes:
        content = b'{"ask":"slow"}' + b" " * 60_000
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content))
        reading = asyncio.create_task(reader.read())
        for at in range(0, len(content), len(piece)):
            if reading.done():
                break
            writer.write(content[at : at + len(piece)])
            await asyncio.sleep(pause_s)
        reply = await reading
        writer.transport.abort()
        return reply

    async def play(port: int, answering: FakeAnswering) -> tuple[bytes, bytes]:
        return await asyncio.gather(send(port, b"x" * 4000, 0.04), send(port, b"x" * 10, 0.05))

    honest, drip = played(play, bounds=Bounds(body_s=0.3, body_bytes_per_s=40_000, drain_s=0.2))
    assert body(honest)["text"] == "slow"
    assert status(drip) == 408


def test_too_many_connections_are_turned_away_and_the_others_live() -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[list[bytes], bytes]:
        first = await asyncio.open_connection("127.0.0.1", port)
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(15)]
        await asyncio.sleep(0.05)
        refused = [await talk(port, b"") for _ in range(3)]
        first[1].write(post("still here"))
        kept = await one_reply(first[0])
        for _, writer in [first, *idle]:
            writer.close()
        return refused, kept

    refused, kept = played(play, bounds=Bounds(connections=16))
    assert [status(reply) for reply in refused] == [503] * 3
    assert body(kept)["text"] == "still here"


def test_garbage_behind_a_request_does_not_spoil_another_clients_reply() -> None:
    async def play(port: int, answering: FakeAnswering) -> tuple[bytes, bytes]:
        mine = asyncio.create_task(talk(port, post("wait 0.3")))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("then-hang", stream=True))
        await reader.readuntil(b"<1>")
        writer.write(b"\x00\x01garbage\r\n\r\n")
        rest = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return rest, await mine

    rest, mine = played(play, bounds=Bounds(drain_s=0.3))
    assert b"HTTP/1.1 400" not in rest  # nothing of ours in the middle of a stream
    assert body(mine)["text"] == "wait 0.3"


def test_random_bytes_never_make_the_server_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def play(port: int, answering: FakeAnswering) -> list[int]:
        draw = random.Random("hostile")
        whole = post("hello")
        seen = []
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(draw.randrange(1, 12)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            reply = await talk(port, bytes(data[: draw.randrange(1, len(data) + 1)]), timeout=5, closing=False)
            seen.append(status(reply) if reply else 0)
        return seen

    short = Bounds(headers_s=0.05, body_s=0.05, keep_alive_s=0.1, drain_s=0.05)
    assert {code // 100 for code in played(play, bounds=short)} <= {0, 2, 4}
    assert "unexpected" not in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    "model messages stream stream_options max_tokens max_completion_tokens temperature top_p stop seed n logprobs "
    "top_logprobs response_format tools tool_choice parallel_tool_calls user shoal reasoning_effort metadata".split()
)


def serve_in_memory(content: bytes) -> int:
    """Send one body through the gateway with the real dialect, without a socket; return the status."""
    sent: list[Any] = []

    async def main() -> None:
        given = False

        async def receive() -> Any:
            nonlocal given
            if given:
                await asyncio.sleep(60)
            given = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        await gateway(door=ChatDoor())(scope, receive, send)

    asyncio.run(main())
    return int(sent[0]["status"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(FIELDS, JSON, max_size=4), st.booleans())
def test_no_json_body_makes_the_gateway_fail(fields: dict[str, Any], based: bool) -> None:
    assert serve_in_memory(json.dumps((QUESTION if based else {}) | fields).encode()) < 500


MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system", "developer"]) | JSON},
    optional={name: JSON for name in ("content", "name", "tool_calls", "tool_call_id")},
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MESSAGES, max_size=4))
def test_no_list_of_messages_makes_the_gateway_fail(messages: list[Any]) -> None:
    assert serve_in_memory(json.dumps({"model": "shoal", "messages": messages}).encode()) < 500


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_no_bytes_make_the_gateway_fail(content: bytes) -> None:
    assert 400 <= serve_in_memory(content) < 500


def resident_pages(pid: int) -> int:
    """Return the resident memory of a process, in pages."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


async def round_of_hostility(port: int) -> None:
    """One round: every hostile body, oversized ones, half-open sockets, clients that leave in mid-stream."""
    for content in BODIES.values():
        await talk(port, post("", body=content))
    for _ in range(4):
        await talk(port, post("", body=b"[" + b"1," * 3_500_000 + b"1]"))  # under the limit, parsed, refused
        await talk(port, HEAD + b"Content-Length: 99999999\r\n\r\n")
    open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
    for number, (_, writer) in enumerate(open_ones):
        writer.write([b"P", HEAD, HEAD + b"Content-Length: 9000\r\n\r\n" + b"x" * 4000][number % 3])
    stream = orjson.dumps(QUESTION | {"stream": True, "messages": [{"role": "user", "content": "then-hang"}]})
    for _ in range(40):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("", body=stream))
        await reader.readuntil(b"<1>")
        writer.transport.abort()
    for _, writer in open_ones:
        writer.transport.abort()
    await asyncio.sleep(0.2)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to read a process's memory")
def test_memory_stays_within_five_percent_over_three_rounds() -> None:
    process = Process()
    try:
        for _ in range(2):  # the first ones fill pools, caches and the allocator's arenas
            asyncio.run(round_of_hostility(process.port))
        before = resident_pages(process.child.pid)
        for _ in range(3):
            asyncio.run(round_of_hostility(process.port))
        after = resident_pages(process.child.pid)
    finally:
        code, errors, _ = process.stop()
    assert after <= before * 1.05, f"{before} pages before, {after} after"
    assert code == 0 and b"unexpected" not in errors
