"""Endpoints killed under load: nobody who could still be served sees an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from running import Running, running
from shoal.evaluation.exam import Exam, sit
from shoal.practice.control import Control
from shoal.practice.process import read_card
from shoal.practice.questions import Question, generate

ABLE = 0.80
ASKED = 500
PAIRS = (("hana-ja", "hansa-calc"), ("baram-ko", "merlion-mini"))


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Shoal whose models this file may kill."""
    with running(tmp_path_factory.mktemp("outage")) as shoal:
        yield shoal


def holders(skill: str, card: Mapping[str, Mapping[str, tuple[int, int]]]) -> set[str]:
    """Return who has a skill to 80 % or more on the card."""
    return {name for name, tasks in card.items() if skill in tasks and tasks[skill][0] >= ABLE * tasks[skill][1]}


def servable(question: Question, gone: tuple[str, ...]) -> bool:
    """Return whether every skill the question takes still has a holder."""
    card = read_card()
    return all(holders(skill, card) - set(gone) for skill in question.skills)


async def sit_and_kill(url: str, questions: list[Question], gone: tuple[str, ...], control: Control) -> Exam:
    """Ask everything at once and kill the models after a fifth of the answers."""
    killed = asyncio.Event()

    def progress(done: int, _: int) -> None:
        if done >= ASKED // 5:
            killed.set()

    async def kill() -> None:
        await killed.wait()
        for name in gone:
            await asyncio.to_thread(control.kill, name)

    exam, _ = await asyncio.gather(sit(url, "shoal", questions, concurrency=ASKED, progress=progress), kill())
    return exam


@pytest.mark.parametrize("gone", PAIRS)
@pytest.mark.timeout(240)
def test_two_endpoints_killed_during_500_requests(breakable: Running, gone: tuple[str, str]) -> None:
    control = Control.of(breakable.state)
    questions = [q for q in generate(11, 3 * ASKED, split="test") if servable(q, gone)][:ASKED]
    assert len(questions) == ASKED
    without = {"exclude": [f"endpoint:practice/{name}" for name in gone]}
    calm = asyncio.run(sit(breakable.url, "shoal", questions, shoal=without, concurrency=64))
    try:
        hit = asyncio.run(sit_and_kill(breakable.url, questions, gone, control))
    finally:
        for name in gone:
            control.revive(name)
    assert hit.as_dict()["errors"] == {}
    assert hit.score.share >= calm.score.share - 0.03, (hit.as_dict(), calm.as_dict())


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
