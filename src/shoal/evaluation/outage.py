"""Outages: practice endpoints killed while many requests are in flight, against the same pool without them.

The promise measured: as long as a permitted, able endpoint is left for every skill a question takes, no client sees an
error, and accuracy stays near what the remaining endpoints reach when the others were never there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any

from shoal.evaluation.exam import Exam, sit
from shoal.evaluation.instance import serving
from shoal.practice.control import Control
from shoal.practice.process import read_card
from shoal.practice.questions import Question, generate

ABLE = 0.80  # a skill is held by who has it to this share on the report card
TOLERANCE = 0.03
Card = Mapping[str, Mapping[str, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Outage:
    """What killing some models during a sitting did."""

    gone: tuple[str, ...]
    calm: Exam
    hit: Exam

    @property
    def errors(self) -> int:
        """How many clients saw an error."""
        return sum(reply.status != 200 for reply in self.hit.replies)

    @property
    def lost(self) -> float:
        """By how much accuracy fell against the same pool without the killed models."""
        return self.calm.score.share - self.hit.score.share

    def as_dict(self) -> dict[str, Any]:
        """Return the outage in plain values."""
        return {
            "killed": list(self.gone),
            "asked": len(self.hit.replies),
            "errors": self.errors,
            "right": self.hit.score.share,
            "right_without_them_from_the_start": self.calm.score.share,
            "holds": self.errors == 0 and self.lost <= TOLERANCE,
        }


def holders(skill: str, card: Card) -> set[str]:
    """Return who has a skill to 80 % or more on the card."""
    return {name for name, tasks in card.items() if skill in tasks and tasks[skill][0] >= ABLE * tasks[skill][1]}


def servable(gone: Sequence[str], count: int, *, seed: int = 11) -> list[Question]:
    """Return `count` questions of the mixed suite whose every skill still has a holder without those gone."""
    card = read_card()
    left = {skill for tasks in card.values() for skill in tasks if holders(skill, card) - set(gone)}
    asked = (q for q in generate(seed, 8 * count, split="test") if left.issuperset(q.skills))
    found = [question for question, _ in zip(asked, range(count), strict=False)]
    if len(found) < count:
        raise ValueError(f"without {', '.join(gone)} only {len(found)} of {8 * count} questions can be served")
    return found


async def kill_during(url: str, control: Control, gone: Sequence[str], questions: Sequence[Question]) -> Outage:
    """Ask everything at once, kill the models after a fifth of the answers, and mend them afterwards."""
    without = {"exclude": [f"endpoint:practice/{name}" for name in gone]}
    calm = await sit(url, "shoal", questions, shoal=without, concurrency=len(questions))
    killed = asyncio.Event()

    def progress(done: int, total: int) -> None:
        if done >= total // 5:
            killed.set()

    async def kill() -> None:
        await killed.wait()
        for name in gone:
            await asyncio.to_thread(control.kill, name)

    try:
        hit, _ = await asyncio.gather(
            sit(url, "shoal", questions, concurrency=len(questions), progress=progress), kill()
        )
    finally:
        for name in gone:
            await asyncio.to_thread(control.revive, name)
    return Outage(tuple(gone), calm, hit)


def pairs(count: int, seed: int = 7) -> list[tuple[str, str]]:
    """Draw pairs of models to kill, calculators and language models alike; both calculators at once leave nobody."""
    card = read_card()
    able = [
        pair
        for pair in combinations(sorted(card), 2)
        if all(holders(op, card) - set(pair) for op in ("add", "subtract", "multiply"))
    ]
    return Random(seed).sample(able, count)


def outages(count: int = 8, questions: int = 500) -> dict[str, Any]:
    """Kill `count` pairs, one after another, each in an instance of its own."""
    rows = []
    for pair in pairs(count):
        with serving() as shoal:
            asked = servable(pair, questions)
            rows.append(asyncio.run(kill_during(shoal.url, Control.of(shoal.state), pair, asked)).as_dict())
    return {"pairs": rows, "holds": all(row["holds"] for row in rows), "tolerance": TOLERANCE, "able_from": ABLE}
