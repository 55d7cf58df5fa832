"""Limits of silence, time and size around one call, over a transport that does as it is told."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from shoal.core.endpoint import Limits
from shoal.core.errors import UnreadableReply, UpstreamError, UpstreamTimeout
from shoal.pool import exchange as exchanging
from shoal.pool.exchange import Exchange
from shoal.simulation.clock import simulate
from shoal.wire.outgoing import Outgoing

LIMITS = Limits(connect_s=1, first_byte_s=10, gap_s=3, total_s=30)
CALL = Outgoing("POST", "http://nowhere/v1", {}, b"{}")


@dataclass
class Scripted:
    """A reply whose head comes after `head_s` and whose pieces come after their own pauses."""

    head_s: float = 0.0
    pieces: tuple[tuple[float, bytes], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    closed: int = 0
    at: int = 0

    async def send(self, outgoing: Outgoing, limits: Limits) -> Scripted:
        await asyncio.sleep(self.head_s)
        return self

    async def read(self) -> bytes:
        if self.at == len(self.pieces):
            return b""
        pause, data = self.pieces[self.at]
        self.at += 1
        await asyncio.sleep(pause)
        return data

    async def close(self) -> None:
        self.closed += 1


def read(scripted: Scripted, reader_s: float = 0.0) -> bytes:
    async def story() -> bytes:
        got = b""
        async with Exchange(scripted, LIMITS) as exchange:
            await exchange.send(CALL)
            while data := await exchange.read():
                got += data
                await asyncio.sleep(reader_s)
        return got

    return simulate(story())


def test_a_body_comes_whole_and_the_connection_is_closed() -> None:
    scripted = Scripted(1, ((1, b"ab"), (2, b"cd")))
    assert read(scripted) == b"abcd"
    assert scripted.closed == 1


@pytest.mark.parametrize(
    ("scripted", "message"),
    [
        (Scripted(head_s=11), "no first byte within 10 s"),
        (Scripted(head_s=1, pieces=((9.5, b"x"),)), "no first byte within 10 s"),
        (Scripted(pieces=((1, b"x"), (3.5, b"y"))), "fell silent for 3 s in the middle"),
        (Scripted(pieces=((2.5, b"x"),) * 20), "did not finish within 30 s"),
    ],
)
def test_every_limit_has_its_own_words(scripted: Scripted, message: str) -> None:
    with pytest.raises(UpstreamTimeout, match=message):
        read(scripted)


def test_a_body_that_announced_its_length_is_not_waited_for_beyond_it() -> None:
    scripted = Scripted(pieces=((0, b"ab"), (0, b"cd"), (99, b"")), headers={"content-length": "4"})
    assert read(scripted) == b"abcd"


def test_the_readers_own_time_is_not_the_endpoints_silence() -> None:
    assert read(Scripted(pieces=((0.1, b"a"), (0.1, b"b"), (0.1, b"c"))), reader_s=8) == b"abc"


def test_a_reply_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "MAX_REPLY", 10)
    assert read(Scripted(pieces=((0, b"12345"), (0, b"67890")))) == b"1234567890"
    with pytest.raises(UnreadableReply, match="larger than 10 bytes"):
        read(Scripted(pieces=((0, b"12345"), (0, b"678901"))))


def test_a_bomb_is_defused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "MAX_REPLY", 1000)
    bomb = gzip.compress(b"\0" * 10_000_000)
    with pytest.raises(UnreadableReply, match="larger than 1000 bytes"):
        read(Scripted(pieces=((0, bomb),), headers={"content-encoding": "gzip"}))


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)])
def test_a_reply_that_comes_packed_unasked_is_unpacked(name: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"hello " * 50)
    pieces = tuple((0.0, packed[i : i + 7]) for i in range(0, len(packed), 7))
    assert read(Scripted(pieces=pieces, headers={"content-encoding": name})) == b"hello " * 50


@pytest.mark.parametrize(("name", "data"), [("br", b"whatever"), ("gzip", b"not packed at all")])
def test_what_cannot_be_unpacked_is_unreadable(name: str, data: bytes) -> None:
    with pytest.raises(UnreadableReply, match="packed"):
        read(Scripted(pieces=((0, data),), headers={"content-encoding": name}))


def test_whether_the_call_left_is_known_after_a_failure() -> None:
    class Refusing(Scripted):
        async def send(self, outgoing: Outgoing, limits: Limits) -> Scripted:
            raise UpstreamError("the endpoint refused the connection", sent=False)

    async def story() -> None:
        exchange = Exchange(Refusing(), LIMITS)
        assert not exchange.sent
        with pytest.raises(UpstreamError):
            await exchange.send(CALL)
        assert not exchange.sent
        silent = Exchange(Scripted(head_s=99), LIMITS)
        with pytest.raises(UpstreamTimeout):
            await silent.send(CALL)
        assert silent.sent

    simulate(story())
