"""No cheating: what the planner and the pipeline add is order, never an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shoal.assembly import open_instance
from shoal.core.endpoint import Endpoint
from shoal.core.errors import ShoalError
from shoal.core.identity import new_run
from shoal.core.item import say
from shoal.core.request import Prompt, Request
from shoal.practice import roster
from shoal.practice.process import PracticePool, endpoint, endpoints, read_card
from shoal.practice.questions import Question, generate, is_right
from shoal.settings import check_text
from shoal.simulation.world import World

CALM = "[discovery]\nenabled = false\n[practice]\nenabled = false\n"
JUNK = "zzzzz"


def shuffled(folder: Path) -> Path:
    """Write every model's weights with the numbers of each array in another order, all else as it was."""
    random = np.random.default_rng(1)
    for member in roster.members().values():
        kept = dict(np.load(member.weights_path(), allow_pickle=False))
        for name, array in kept.items():
            if array.dtype == np.float16:
                kept[name] = random.permutation(array.reshape(-1)).reshape(array.shape)
        np.savez(folder / f"{member.id}.npz", **kept)
    return folder


async def answers(extra: Sequence[Endpoint], state: Path, questions: Sequence[Question], **how: object) -> list[str]:
    """Ask every question with effort and return what came back; a refusal is an empty answer."""
    loaded = check_text(CALM, state / "shoal.toml")
    async with open_instance(loaded, state=state, extra=extra, **how) as instance:  # type: ignore[arg-type]

        async def one(question: Question) -> str:
            request = Request(new_run(), "shoal-deep", Prompt((say(question.prompt),)))
            try:
                return (await instance.pipeline.answer(request)).answer.text
            except ShoalError:
                return ""

        return list(await asyncio.gather(*(one(q) for q in questions)))


def test_with_shuffled_weights_hardly_anything_is_right(tmp_path: Path) -> None:
    questions = generate(5, 200, split="test")

    async def run() -> list[str]:
        async with PracticePool.start(None, weights=shuffled(tmp_path)) as pool:
            return await answers(endpoints(pool), tmp_path, questions)

    found = asyncio.run(run())
    right = sum(is_right(q, text) for q, text in zip(questions, found, strict=True))
    assert right < 0.05 * len(questions)


def test_with_endpoints_that_answer_junk_the_answers_are_junk(tmp_path: Path) -> None:
    world, card = World(1), read_card()
    for member in roster.members().values():
        described = endpoint(member, "http://nowhere.sim/v1", card.get(member.id))
        world.add(described, mind=lambda body, random: JUNK).first_token_s = 0.001
    questions = generate(6, 120, split="test")
    placed = tuple(replace(e, practice=True) for e in world.endpoints)
    found = asyncio.run(answers(placed, tmp_path, questions, transport=world.network))
    assert set(found) <= {JUNK, ""}
    assert found.count(JUNK) > 0.9 * len(found)
