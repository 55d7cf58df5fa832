"""Endpoints killed under load: nobody who could still be served sees an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Running, running
from shoal.evaluation.outage import TOLERANCE, holders, kill_during, servable
from shoal.practice.control import Control
from shoal.practice.process import read_card

ASKED = 500
PAIRS = (("hana-ja", "hansa-calc"), ("baram-ko", "merlion-mini"))


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Shoal whose models this file may kill."""
    with running(tmp_path_factory.mktemp("outage")) as shoal:
        yield shoal


@pytest.mark.parametrize("gone", PAIRS)
@pytest.mark.timeout(240)
def test_two_endpoints_killed_during_500_requests(breakable: Running, gone: tuple[str, str]) -> None:
    questions = servable(gone, ASKED)
    outage = asyncio.run(kill_during(breakable.url, Control.of(breakable.state), gone, questions))
    told = [(r.question.prompt, r.detail) for r in outage.hit.replies if r.status != 200]
    assert not told, f"{len(told)} errors, the first: {told[0]}"
    assert outage.lost <= TOLERANCE, outage.as_dict()


def test_with_nobody_left_the_answer_is_503_within_the_deadline(breakable: Running) -> None:
    control = Control.of(breakable.state)
    able = sorted(holders("read:th", read_card()))
    for name in able:
        control.kill(name)
    try:
        started = time.monotonic()
        status, reply, _ = breakable.ask("สามร้อยยี่สิบห้า เป็นตัวเลข", exclude=["model:*omni"], deadline_s=5)
        assert time.monotonic() - started < 5.5
        assert status == 503, reply
        assert reply["error"]["code"] == "no_able_endpoint"
    finally:
        for name in able:
            control.revive(name)


def test_a_lost_stream_never_ends_cleanly(breakable: Running) -> None:
    import json
    from urllib.request import Request, urlopen

    control = Control.of(breakable.state)
    only = "practice/thames-en"
    control.fault("thames-en", "cut", times=1)
    body = {
        "model": only,
        "stream": True,
        "messages": [{"role": "user", "content": "12345 in words"}],
    }
    call = Request(f"{breakable.url}/v1/chat/completions", json.dumps(body).encode())
    call.add_header("content-type", "application/json")
    with urlopen(call, timeout=30) as reply:
        lines = [line for line in reply.read().decode().split("\n\n") if line.startswith("data:")]
    assert "[DONE]" not in lines[-1]
    assert json.loads(lines[-1].removeprefix("data:"))["error"]["code"] == "stream_lost"
    assert all('"finish_reason":"stop"' not in line for line in lines)


def test_a_practice_folder_is_not_shared_by_two_instances(tmp_path: Path, breakable: Running) -> None:
    with running(tmp_path) as other:
        assert Control.of(breakable.state).list() != Control.of(other.state).list()
        assert other.ask("325 + 17 = ?")[1]["choices"][0]["message"]["content"] == "342"
