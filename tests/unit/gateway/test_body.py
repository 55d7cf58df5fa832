"""Bodies are read to the end or refused early, and their memory is counted."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from shoal.core.errors import CallerError, Overloaded, TooLarge
from shoal.gateway.body import MEBIBYTE, Bodies, Gone
from shoal.gateway.reply import Receive


def pieces(*parts: bytes, leaves: bool = False) -> tuple[Receive, list[int]]:
    """Return a `receive` that gives the parts, and a list that grows with every call."""
    calls: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        calls.append(len(calls))
        if len(calls) > len(parts):
            return {"type": "http.disconnect"}
        more = leaves or len(calls) < len(parts)
        return {"type": "http.request", "body": parts[len(calls) - 1], "more_body": more}

    return receive, calls


def test_pieces_are_joined() -> None:
    bodies = Bodies(1)
    assert asyncio.run(bodies.read({}, pieces(b"ab", b"", b"c")[0])) == b"abc"


@pytest.mark.parametrize("said", [b"1048577", b"9" * 400, b"-1", b"1e3", b"\xb2"])
def test_a_length_that_cannot_be_is_refused_unread(said: bytes) -> None:
    receive, calls = pieces(b"x")
    with pytest.raises(TooLarge, match="max_body_mb"):
        asyncio.run(Bodies(1).read({b"content-length": said}, receive))
    assert calls == []


def test_a_chunked_body_is_refused_once_it_is_over() -> None:
    receive, calls = pieces(*[b"x" * MEBIBYTE] * 10)
    bodies = Bodies(2)
    with pytest.raises(TooLarge):
        asyncio.run(bodies.read({}, receive))
    assert len(calls) == 3
    assert bodies._together == 0


def test_a_client_that_leaves_is_gone() -> None:
    with pytest.raises(Gone):
        asyncio.run(Bodies(1).read({}, pieces(b"x", leaves=True)[0]))


def test_all_bodies_together_are_bounded() -> None:
    bodies = Bodies(1, max_together_mb=2)
    whole = b"x" * MEBIBYTE
    for _ in range(2):
        asyncio.run(bodies.read({}, pieces(whole)[0]))
    with pytest.raises(Overloaded):
        asyncio.run(bodies.read({}, pieces(whole)[0]))
    bodies.release(len(whole))
    assert asyncio.run(bodies.read({}, pieces(whole)[0])) == whole


def test_a_compressed_body_is_refused_clearly() -> None:
    with pytest.raises(CallerError, match="Content-Encoding"):
        asyncio.run(Bodies(1).read({b"content-encoding": b"gzip"}, pieces(b"x")[0]))
