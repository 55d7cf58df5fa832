"""The ledger: what is appended becomes durable, in order and exactly, or everybody hears of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from fakes import Still
from shoal.core.errors import LedgerUnavailable, SetupError
from shoal.core.event import Act, Event, canonical, digest
from shoal.ledger import ledger as module
from shoal.ledger.journal import Batch, Retention
from shoal.ledger.ledger import Ledger
from shoal.ledger.store import Store


def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path / 'ledger.db'}"


def with_ledger(path: Path, story: Callable[[Ledger], Awaitable[Any]], **settings: Any) -> Any:
    """Run a story on an open ledger."""

    async def main() -> Any:
        async with Ledger(url(path), clock=Still(), **settings) as ledger:
            return await story(ledger)

    return asyncio.run(main())


def tell(ledger: Ledger, run: str = "run_a", cost: Decimal | None = Decimal("0.00010")) -> str:
    """Write a short run."""
    record = ledger.record(run, "tenant")
    record.event(Act.RUN_STARTED, {"model": "shoal", "owner": "key-1", "prompt": record.body({"items": ["hi"]})})
    record.event(Act.STEP_BOUND, {"role": "solver", "route": [{"endpoint": "acme/one"}]}, step="answer")
    record.event(Act.ATTEMPT_STARTED, {"endpoint": "acme/one"}, step="answer", attempt=0)
    record.event(Act.ATTEMPT_SUCCEEDED, {"endpoint": "acme/one", "cost_usd": cost}, step="answer", attempt=0)
    record.event(Act.RUN_FINISHED, {"mode": "direct", "served_by": "acme/one", "cost_usd": cost, "input_tokens": 3})
    return run


def test_a_flushed_run_is_read_back_by_another_process(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> tuple[str, ...]:
        await ledger.flush(tell(ledger))
        code = (
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
            "print(db.execute('select count(*) from events').fetchone()[0])"
        )
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(tmp_path / "ledger.db"), stdout=subprocess.PIPE
        )
        out, _ = await done.communicate()
        return tuple(out.decode().split())

    assert with_ledger(tmp_path, story) == ("5",)


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> tuple[Event, ...]:
        await ledger.flush(tell(ledger))
        return await ledger.events("run_a")

    events = with_ledger(tmp_path, story)
    assert [e.sequence for e in events] == [0, 1, 2, 3, 4]
    assert events[0].action is Act.RUN_STARTED and events[0].tenant_id == "tenant" and events[0].at == Still().now()
    assert events[3].step == "answer" and events[3].attempt == 0 and events[3].data["cost_usd"] == "0.00010"


def test_a_stored_event_has_the_canonical_bytes_of_the_original(tmp_path: Path) -> None:
    data = {"b": Decimal("1.50"), "a": frozenset({"y", "x"}), "c": {"nested": (1, 2.5, None)}}

    async def story(ledger: Ledger) -> Event:
        ledger.record("run_a", "tenant").event(Act.RUN_JUDGED, data)
        await ledger.flush("run_a")
        return (await ledger.events("run_a"))[0]

    original = Event("tenant", "run_a", 0, Act.RUN_JUDGED, Still().now(), data=data)
    assert with_ledger(tmp_path, story).canonical() == original.canonical()


def test_the_list_of_runs_has_the_newest_first_and_exact_money(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        for number in range(5):
            tell(ledger, f"run_{number}")
        ledger.record("run_open").event(Act.RUN_STARTED, {"model": "shoal-deep"})
        await ledger.flush("run_open")
        return await ledger.runs(3), await ledger.runs(3, tenant_id="local")

    lines, local = with_ledger(tmp_path, story)
    assert [line.run for line in lines] == ["run_open", "run_4", "run_3"]
    assert lines[0].status == "running" and lines[0].ended_at is None
    assert lines[1].cost_usd == Decimal("0.00010") and lines[1].owner == "key-1" and lines[1].served_by == "acme/one"
    assert [line.run for line in local] == ["run_open"]


def test_an_owner_finds_its_runs_behind_the_newer_ones_of_others(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        ledger.record("run_a").event(Act.RUN_STARTED, {"owner": "key-a"})
        for number in range(5):
            ledger.record(f"run_b{number}").event(Act.RUN_STARTED, {"owner": "key-b"})
        await ledger.flush("run_b4")
        return await ledger.runs(2, owner="key-a"), await ledger.runs(2, owner="key-b")

    mine, theirs = with_ledger(tmp_path, story)
    assert [line.run for line in mine] == ["run_a"]
    assert [line.run for line in theirs] == ["run_b4", "run_b3"]


def test_a_run_without_an_ending_is_interrupted_until_it_ends_after_all(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        tell(ledger, "run_done")
        pen = ledger.record("run_open")
        pen.event(Act.RUN_STARTED, {"model": "shoal"})
        await ledger.flush("run_open")
        marked = await ledger.interrupt(datetime.max.replace(tzinfo=UTC))
        seen = [(line.run, line.status) for line in await ledger.runs(2)], (await ledger.run("run_open")).status  # type: ignore[union-attr]
        pen.event(Act.RUN_FINISHED, {"mode": "direct"})
        await ledger.flush("run_open")
        return marked, seen, (await ledger.run("run_open")).status, (await ledger.runs(1))[0].status  # type: ignore[union-attr]

    marked, (lines, shown), later, line = with_ledger(tmp_path, story)
    assert marked == 1 and dict(lines) == {"run_open": "interrupted", "run_done": "finished"}
    assert shown == "interrupted" and later == line == "finished"


def test_a_run_that_nobody_knows_is_none(tmp_path: Path) -> None:
    assert with_ledger(tmp_path, lambda ledger: ledger.run("run_none")) is None


def test_what_people_wrote_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        tell(ledger, "run_a")
        await ledger.flush("run_a")
        return modes()

    def modes() -> dict[str, int]:
        return {path.name: path.stat().st_mode & 0o077 for path in tmp_path.rglob("*") if path.is_file()}

    found = with_ledger(tmp_path, story)
    assert found and not any(found.values()), found


def test_bodies_are_kept_by_their_hash(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        record = ledger.record("run_a")
        name, again = record.body({"b": 1, "a": "안녕"}), record.body({"a": "안녕", "b": 1})
        await ledger.flush("run_a")
        return name, again, await ledger.body("run_a", name), await ledger.body("run_b", name)

    name, again, kept, of_another_run = with_ledger(tmp_path, story)
    assert name == again == digest(canonical({"a": "안녕", "b": 1}))
    assert kept == {"a": "안녕", "b": 1} and of_another_run is None


def holds_secret(path: Path) -> bool:
    return any(b"secret text" in file.read_bytes() for file in path.glob("ledger.db*"))


def test_hash_only_retention_keeps_no_body(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        name = ledger.record("run_a").body("the secret text")
        tell(ledger)
        await ledger.flush("run_a")
        return name, await ledger.body("run_a", name)

    name, kept = with_ledger(tmp_path, story, retention=Retention.HASH_ONLY)
    assert name == digest(canonical("the secret text")) and kept is None
    assert not holds_secret(tmp_path)


def test_expired_bodies_are_forgotten_and_their_events_stay(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        await ledger.flush(tell(ledger))
        name = (await ledger.events("run_a"))[0].data["prompt"]
        early = await ledger.expire(Still().now() + timedelta(hours=23))
        late = await ledger.expire(Still().now() + timedelta(hours=25))
        return early, late, await ledger.body("run_a", name), len(await ledger.events("run_a"))

    assert with_ledger(tmp_path, story, keep_for=timedelta(hours=24)) == (0, 1, None, 5)


def test_forgotten_bodies_leave_no_bytes_behind(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> bool:
        ledger.record("run_a").body("the secret text " * 1000)
        await ledger.flush("run_a")
        before = holds_secret(tmp_path)
        await ledger.expire(Still().now() + timedelta(hours=25))
        return before and not holds_secret(tmp_path)

    assert with_ledger(tmp_path, story, keep_for=timedelta(hours=24))


def test_what_was_flushed_survives_the_death_of_the_process(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from fakes import Still\n"
        "from shoal.core.event import Act\n"
        "from shoal.ledger.ledger import Ledger\n"
        "async def main():\n"
        "    ledger = Ledger(sys.argv[1], clock=Still())\n"
        "    await ledger.open()\n"
        "    ledger.record('run_a').event(Act.RUN_STARTED, {'model': 'shoal'})\n"
        "    await ledger.flush('run_a')\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    tests = str(Path(__file__).parents[2])
    assert subprocess.run([sys.executable, "-c", code, url(tmp_path), tests], check=False).returncode == 9
    lines = with_ledger(tmp_path, lambda ledger: ledger.runs())
    assert [(line.run, line.status) for line in lines] == [("run_a", "running")]


def test_what_json_cannot_hold_is_written_readably_instead_of_raising(tmp_path: Path) -> None:
    odd: dict[Any, Any] = {"lone": "a\ud800b", "huge": 2**80, "thing": object, 3: [float("inf"), {1, 2}]}

    async def story(ledger: Ledger) -> Any:
        record = ledger.record("run_a", "tenant\udfff")
        record.event(Act.RUN_STARTED, {"model": "x\ud800", **odd}, step="\ud800")
        record.event(Act.RUN_FINISHED, {"input_tokens": 2**70, "mode": "\udc00"})
        record.body(odd)
        await ledger.flush("run_a")
        return ledger.healthy, (await ledger.events("run_a"))[0].data, await ledger.runs(1)

    healthy, data, lines = with_ledger(tmp_path, story)
    assert healthy and data["lone"] == "a?b" and data["huge"] == str(2**80)
    assert lines[0].model == "x?" and lines[0].tenant_id == "tenant?" and lines[0].input_tokens is None


class Failing:
    """Fails the store's writes while told to."""

    def __init__(self, ledger: Ledger) -> None:
        self.is_failing = False
        self._write = ledger._store.write
        ledger._store.write = self  # type: ignore[method-assign]

    async def __call__(self, batch: Batch) -> None:
        if self.is_failing:
            raise LedgerUnavailable("the disk is full")
        await self._write(batch)


def test_a_broken_store_loses_nothing_lets_answers_go_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(ledger: Ledger) -> Any:
        disk = Failing(ledger)
        disk.is_failing = True
        await asyncio.wait_for(ledger.flush(tell(ledger, "run_a")), 5)  # returns, and `healthy` says why
        assert not ledger.healthy and ledger.pending == 6
        tell(ledger, "run_b")
        await asyncio.wait_for(ledger.flush("run_b"), 1)
        await asyncio.wait_for(ledger.ready(), 1)
        disk.is_failing = False
        for _ in range(200):
            await asyncio.sleep(0.02)
            if ledger.healthy and not ledger.pending:
                break
        return ledger.healthy, len(await ledger.events("run_a")), len(await ledger.events("run_b"))

    with caplog.at_level(logging.WARNING, "shoal.ledger"):
        assert with_ledger(tmp_path, story) == (True, 5, 5)
    assert "the disk is full" in caplog.text and "can be written again" in caplog.text


def test_a_full_disk_is_noticed_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"max": 40}
    real = Store._begin

    def limited(self: Any) -> Any:
        @asynccontextmanager
        async def begin() -> Any:
            async with real(self) as connection:
                await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages['max']}")
                yield connection

        return begin()

    async def story(ledger: Ledger) -> Any:
        monkeypatch.setattr(Store, "_begin", limited)
        record = ledger.record("run_big")
        for number in range(40):
            record.body("x" * 8_000 + str(number))
        await asyncio.wait_for(ledger.flush("run_big"), 5)
        was_healthy = ledger.healthy
        pages["max"] = 100_000
        for _ in range(200):
            await asyncio.sleep(0.02)
            if ledger.healthy:
                break
        return was_healthy, ledger.healthy, ledger.pending

    assert with_ledger(tmp_path, story) == (False, True, 0)


def test_closing_says_how_much_was_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_WORDS_S", 0.2)

    async def main() -> int:
        ledger = Ledger(url(tmp_path), clock=Still())
        await ledger.open()
        Failing(ledger).is_failing = True
        tell(ledger)
        return await ledger.close()

    assert asyncio.run(main()) == 6
    assert "6 rows that could not be written" in caplog.text


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    async def write(ledger: Ledger) -> None:
        for number in range(1000):
            tell(ledger, f"run_{number}")

    async def read(ledger: Ledger) -> int:
        return len(await ledger.runs(5000))

    with_ledger(tmp_path, write)
    assert with_ledger(tmp_path, read) == 1000


def test_what_is_not_flushed_is_written_soon(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> int:
        tell(ledger)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not ledger.pending:
                break
        return ledger.pending

    assert with_ledger(tmp_path, story) == 0


def test_readiness_waits_while_too_much_is_queued(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> Any:
        for number in range(20):
            tell(ledger, f"run_{number}")
        before = ledger.pending
        await asyncio.wait_for(ledger.ready(), 5)
        return before, ledger.pending <= 50

    assert with_ledger(tmp_path, story, max_rows=50) == (120, True)


@pytest.mark.parametrize("failures", range(4))
def test_events_are_written_once_however_often_writing_fails(tmp_path: Path, failures: int) -> None:
    async def story(ledger: Ledger) -> int:
        real, left = ledger._store.write, [failures]

        async def write(batch: Batch) -> None:
            await real(batch)  # the commit succeeds, and its acknowledgement is lost
            if left[0]:
                left[0] -= 1
                raise LedgerUnavailable("lost")

        ledger._store.write = write  # type: ignore[method-assign]
        tell(ledger)
        for _ in range(200):
            await asyncio.sleep(0.02)
            if not ledger.pending:
                break
        return len(await ledger.events("run_a"))

    assert with_ledger(tmp_path, story) == 5


def test_two_instances_write_the_same_file(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> int:
        async with Ledger(url(tmp_path), clock=Still()) as other:
            for number in range(50):
                tell(ledger, f"run_a{number}")
                tell(other, f"run_b{number}")
                if number % 10 == 0:
                    await asyncio.gather(ledger.flush("x"), other.flush("x"))
            await asyncio.gather(ledger.flush("x"), other.flush("x"))
            return len(await other.runs(1000))

    assert with_ledger(tmp_path, story) == 100


def test_a_ledger_in_memory_works_too() -> None:
    async def main() -> Any:
        async with Ledger("sqlite+aiosqlite://", clock=Still()) as ledger:
            for number in range(30):
                tell(ledger, f"run_{number}")
                await asyncio.gather(ledger.flush("x"), ledger.runs(5))
            return len(await ledger.runs(100))

    assert asyncio.run(main()) == 30


def test_a_newer_schema_stops_the_start_and_names_the_way_out(tmp_path: Path) -> None:
    async def nothing(ledger: Ledger) -> None:
        return None

    with_ledger(tmp_path, nothing)
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute("insert into schema_version values (99)")
    db.commit()
    db.close()
    with pytest.raises(SetupError, match="schema version 99.*newer Shoal"):
        with_ledger(tmp_path, nothing)


@pytest.mark.parametrize("bad", ["nonsense", "postgresql://x/y"])
def test_an_address_that_is_no_sqlite_file_is_refused(bad: str) -> None:
    with pytest.raises(SetupError, match="sqlite\\+aiosqlite"):
        Ledger(bad, clock=Still())


def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, however long it goes on" * 100)

    async def nothing(ledger: Ledger) -> None:
        return None

    with pytest.raises(SetupError, match="cannot be opened.*--state"):
        with_ledger(tmp_path, nothing)


@pytest.mark.parametrize(
    "foreign", [sqlite3.OperationalError("x"), OperationalError("x", {}, Exception("x")), OSError("x")]
)
def test_foreign_exceptions_are_translated_at_the_border(tmp_path: Path, foreign: Exception) -> None:
    async def story(ledger: Ledger) -> None:
        engine = ledger._store._engine

        class Broken:
            def begin(self) -> Any:
                raise foreign

        ledger._store._engine = Broken()  # type: ignore[assignment]
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: ledger.events("run_a"),
            lambda: ledger.runs(),
            lambda: ledger.body("run_a", "x"),
            lambda: ledger.expire(Still().now()),
            lambda: ledger._store.write(Batch()),
        ]
        for call in calls:
            with pytest.raises(LedgerUnavailable):
                await call()
        ledger._store._engine = engine

    with_ledger(tmp_path, story)


def test_reading_a_ledger_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="not open"):
        asyncio.run(Ledger(url(tmp_path), clock=Still()).runs())


def test_events_appended_before_opening_are_not_lost(tmp_path: Path) -> None:
    async def main() -> int:
        ledger = Ledger(url(tmp_path), clock=Still())
        tell(ledger)
        async with ledger:
            await ledger.flush("run_a")
            return len(await ledger.events("run_a"))

    assert asyncio.run(main()) == 5


def test_a_pen_costs_little(tmp_path: Path) -> None:
    async def story(ledger: Ledger) -> float:
        best = 1.0
        for attempt in range(20):
            started = time.thread_time()
            for number in range(20):
                tell(ledger, f"run_{attempt}_{number}")
            best = min(best, (time.thread_time() - started) / 20)
            await ledger.flush("x")
        return best

    assert with_ledger(tmp_path, story) < 0.0005  # aimed at 60 us; generous, because machines differ
