"""Process: starts the practice pool beside the caller, ends it with the caller, and describes it as endpoints.

Knows the child's command line, its line of readiness, the roster and the report card. Loads no weights itself, and
nothing that the caller would have to wait for: the child is another process.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import orjson

from shoal.core.endpoint import Endpoint, Limits, Model
from shoal.core.errors import SetupError
from shoal.core.money import Price
from shoal.practice import roster
from shoal.practice.control import HOST, Control

PROVIDER = "practice"
READY_S = 30.0  # for a loaded machine; a calm one takes under a second
STOP_S = 2.0
PASSING = 0.5  # from this share of right answers on, a task of the report card is a skill
# Seventeen models share two processors: under a burst a call waits its turn. Longer silence is a hang.
LIMITS = Limits(concurrency=64, connect_s=1.0, first_byte_s=30.0, gap_s=10.0, total_s=60.0, retries=1)


@dataclass(frozen=True, slots=True)
class PracticePool:
    """A running pool: its state directory, the child's pid and the port of each model."""

    state: Path
    pid: int
    ports: Mapping[str, int]
    control: Control

    def base_url(self, name: str) -> str:
        """Return the address of one model, for any OpenAI client."""
        return f"http://{HOST}:{self.ports[name]}/v1"

    @property
    def rows(self) -> tuple[roster.Member, ...]:
        """The rows of the roster that are served."""
        return tuple(row for row in roster.members().values() if row.id in self.ports)

    @classmethod
    @asynccontextmanager
    async def start(
        cls, state_dir: Path | None, models: Sequence[str] | None = None, *, weights: Path | None = None
    ) -> AsyncIterator[PracticePool]:
        """Run a pool for the length of the block: all models of the roster, or `models`.

        Without a state directory it keeps to itself, so that a pool found through one is not replaced by it. With
        `weights`, the weights of NAME are read from `weights`/NAME.npz, also for names outside the roster.

        Raises:
            SetupError: the pool did not come up; the message carries what it said.
        """
        if state_dir is None:
            with TemporaryDirectory(prefix="shoal-practice-") as private:
                async with cls.start(Path(private), models, weights=weights) as pool:
                    yield pool
            return
        command = [sys.executable, "-m", "shoal.practice", "--state", str(state_dir), "--watch-stdin"]
        for name in models or ():
            command += ["--model", name]
        if weights is not None:
            command += ["--weights", str(weights)]
        child = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        errors = asyncio.create_task(_last_words(child))
        try:
            ready = await _readiness(child, errors)
            yield cls(state_dir, ready["pid"], MappingProxyType(ready["models"]), Control.of(state_dir))
        finally:
            await _end(child)
            await errors


async def _readiness(child: Process, errors: asyncio.Task[str]) -> dict[str, Any]:
    assert child.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = await child.stdout.readline()
    except TimeoutError:
        raise SetupError(f"the practice pool was not ready after {READY_S:g} s") from None
    if not line:
        await child.wait()
        said = (await errors).strip().splitlines()
        cause = said[-1].strip() if said else f"exit status {child.returncode}"
        raise SetupError(f"the practice pool did not start: {cause}")
    ready: dict[str, Any] = orjson.loads(line)
    return ready


async def _last_words(child: Process) -> str:
    """Read what the child says on stderr to its end, keeping the last of it, so that it never blocks."""
    assert child.stderr is not None
    kept = b""
    while data := await child.stderr.read(4096):
        kept = (kept + data)[-4000:]
    return kept.decode(errors="replace").strip()


async def _end(child: Process) -> None:
    """Ask the child to stop, and make it stop where it does not."""
    if child.returncode is not None:
        return
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def read_card() -> Mapping[str, Mapping[str, tuple[int, int]]]:
    """Return the committed report card as model -> task -> (right, asked); empty where none has been made yet."""
    path = resources.files("shoal.practice").joinpath("report_card.json")
    if not path.is_file():
        return {}
    card = orjson.loads(path.read_bytes())
    asked, mixed = card["questions_per_task"], card["mixed_questions"]
    found = {}
    for name, row in card["solvers"].items():
        tasks = {task: (round(share * asked), asked) for task, share in row["accuracy"].items()}
        found[name] = {**tasks, "mixed": (round(row["mixed"] * mixed), mixed)}
    for name, row in card["verifiers"].items():
        good, bad = row["right_answers"], row["near_misses"] + row["real_mistakes"]
        right = (1 - row["false_reject"]) * good + (1 - row["false_accept"]) * bad
        found[name] = {"verify": (round(right), good + bad)}
    return found


def endpoints(pool: PracticePool) -> tuple[Endpoint, ...]:
    """Return the pool as endpoints of the catalogue's kind, in the roster's order."""
    card = read_card()
    return tuple(endpoint(row, pool.base_url(row.id), card.get(row.id)) for row in pool.rows)


def endpoint(row: roster.Member, base_url: str, card: Mapping[str, tuple[int, int]] | None) -> Endpoint:
    """Return one practice model as an endpoint; its skills are what its report card says it can do."""
    model = Model(
        id=f"{PROVIDER}/{row.id}",
        developer=row.developer,
        developer_country=row.country,
        open_weights=row.open_weights,
        licence=row.licence,
        input=("text",),
        tools=False,
        reasoning=False,
        params_total_b=row.params / 1e9,
    )
    return Endpoint(
        id=f"{PROVIDER}/{row.id}",
        provider=PROVIDER,
        native_name=row.id,
        model=model,
        base_url=base_url,
        auth="none",
        host_country=row.country,
        operator=row.operator,
        operator_country=row.country,
        storage_country=row.country,
        retention_days=0,
        trains_on_input=False,
        human_review=False,
        attested="operator",
        price=Price(row.price_in_usd, row.price_out_usd),
        limits=LIMITS,
        skills=_skills(row, card),
        card=MappingProxyType(dict(card or {})),
        practice=True,
        note=row.note or None,
    )


def _skills(row: roster.Member, card: Mapping[str, tuple[int, int]] | None) -> frozenset[str]:
    """Return the tasks it passes; `mixed` for who was taught every skill, `verify` for who reviews.

    A model that has not been examined yet is taken at the roster's word.
    """
    if card is None:
        passed = set(row.skills)
    else:
        passed = {task for task, (right, asked) in card.items() if asked and right / asked >= PASSING}
    taught = {skill for other in roster.members().values() for skill in other.skills}
    if taught and taught <= set(row.skills):
        passed.add("mixed")
    if "verifier" in row.roles:
        passed.add("verify")
    return frozenset(passed)
