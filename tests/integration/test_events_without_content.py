"""A provider that repeats the prompt in its error puts nothing of it into an event, and nothing into another run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from fakes import endpoint
from shoal.assembly import JOURNAL, open_instance
from shoal.core.errors import ShoalError
from shoal.core.identity import new_run
from shoal.core.item import say
from shoal.core.request import Prompt, Request
from shoal.settings import check_text
from shoal.simulation.network import Network, Reply
from shoal.wire.outgoing import Outgoing

SECRET = "the-merger-closes-on-friday"


class Echo:
    """Refuses everything and says what it was asked."""

    async def connect(self) -> None: ...

    async def serve(self, outgoing: Outgoing) -> Reply:
        async def body() -> AsyncGenerator[bytes, None]:
            yield b'{"error": {"message": "cannot answer: ' + SECRET.encode() + b'"}}'

        return Reply(500, {"content-type": "application/json"}, body())


def test_an_echoed_prompt_stays_a_body_of_its_own_run(tmp_path: Path) -> None:
    network = Network()
    network.attach("http://127.0.0.1:9/v1", Echo())

    async def run() -> str:
        loaded = check_text("[discovery]\nenabled = false\n", tmp_path / "shoal.toml")
        pool = (endpoint("acme/echo"),)
        async with open_instance(loaded, state=tmp_path, extra=pool, transport=network) as instance:
            for text in (SECRET, "hello", "hello", "hello"):
                with pytest.raises(ShoalError) as refused:
                    await instance.pipeline.answer(Request(new_run(), "shoal", Prompt((say(text),))))
            await asyncio.sleep(0.05)
            return str(refused.value.detail) + str(instance.pool.health("acme/echo"))

    asyncio.run(run())
    with sqlite3.connect(tmp_path / JOURNAL) as journal:
        events = journal.execute("select data from events").fetchall()
        bodies = journal.execute("select count(*) from bodies where instr(body, ?)", (SECRET.encode(),)).fetchone()
    journal.close()
    assert len(events) > 10 and not any(SECRET.encode() in bytes(row[0]) for row in events)
    assert bodies[0] > 0
