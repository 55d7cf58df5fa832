"""The store: asynchronous SQL over one SQLite file, and the border where its exceptions are translated.

Knows tables and statements, nothing of runs or queues. WAL lets other processes read while one writes; `synchronous =
NORMAL` loses nothing to a crash of the process, and at most the last commits to a crash of the machine.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, delete, event, func, insert, inspect, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql import bindparam

from shoal.core.errors import LedgerUnavailable, SetupError
from shoal.ledger import schema
from shoal.ledger.journal import Batch

BUSY_MS = 5_000  # how long one process waits while another holds the write lock
FOREIGN = (SQLAlchemyError, sqlite3.Error, OSError)

_ADD_EVENT = upsert(schema.events).on_conflict_do_nothing(index_elements=["run", "sequence"])
_ADD_BODY = upsert(schema.bodies).on_conflict_do_nothing(index_elements=["run", "hash"])
_START = upsert(schema.runs).on_conflict_do_nothing(index_elements=["run"])
_STARTED = ("run", "tenant_id", "owner", "started_at", "status", "model")
_ENDED = ("ended_at", "status", "mode", "served_by", "cost_usd", "input_tokens", "output_tokens", "language", "error")
_END = (
    update(schema.runs)
    .where(schema.runs.c.run == bindparam("of_run"))
    .values({name: bindparam(name) for name in _ENDED})
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement in the driver's own form, and the names of its parameters in their order."""

    text: str
    names: tuple[str, ...]

    def rows(self, given: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the parameters of many rows."""
        return [tuple(row[name] for name in self.names) for row in given]


def _prepared(statement: Any, dialect: Any, columns: Sequence[str]) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=columns or None)
    return _Prepared(str(compiled), tuple(compiled.positiontup))


class Store:
    """One SQLite file. Every method raises `LedgerUnavailable` where the file cannot be used."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise SetupError(f"ledger: `{url}` is no database address; write sqlite+aiosqlite:///PATH") from error
        if parsed.drivername != "sqlite+aiosqlite":
            raise SetupError(f"ledger: found `{parsed.drivername}`, expected `sqlite+aiosqlite:///PATH`")
        self._path = None if parsed.database in (None, "", ":memory:") else Path(str(parsed.database))
        self._engine: AsyncEngine | None = None
        # A database in memory has one connection, which a reader and the writer must not share mid-transaction.
        self._turn = asyncio.Lock() if self._path is None else None
        self._add_event = ""
        self._add_body = ""
        self._start = _Prepared("", ())
        self._end = _Prepared("", ())

    async def open(self) -> None:
        """Create what is missing.

        Raises:
            SetupError: the file cannot be opened, or was written by a newer Shoal.
        """
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                if not self._path.exists():  # it holds what people wrote; SQLite gives its other files the same mode
                    self._path.touch(mode=0o600)
            self._engine = create_async_engine(self._url)
            event.listen(self._engine.sync_engine, "connect", _prepare)
            dialect = self._engine.sync_engine.dialect
            self._add_event = str(_ADD_EVENT.compile(dialect=dialect))
            self._add_body = str(_ADD_BODY.compile(dialect=dialect))
            self._start = _prepared(_START, dialect, _STARTED)
            self._end = _prepared(_END, dialect, ())
            try:
                await self._create()
            except DatabaseError:
                await asyncio.sleep(0.05)  # another process may be creating the same file
                await self._create()
        except SetupError:
            await self.close()
            raise
        except FOREIGN as error:
            await self.close()
            where = self._path or self._url
            raise SetupError(f"ledger: `{where}` cannot be opened ({_cause(error)}); choose another --state") from error

    async def _create(self) -> None:
        async with self._begin() as connection:
            version = await connection.run_sync(_version)
            if version is not None and version > schema.VERSION:
                raise SetupError(
                    f"ledger: `{self._path}` is at schema version {version} and this Shoal knows {schema.VERSION}; "
                    "run the newer Shoal, or choose another --state"
                )
            await connection.run_sync(schema.metadata.create_all)
            if version is None:
                await connection.execute(insert(schema.versions), [{"version": schema.VERSION}])

    async def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def write(self, batch: Batch) -> None:
        """Write a batch whole or not at all; writing it a second time changes nothing."""
        async with self._translated(), self._begin() as connection:
            # Statements are compiled once, rows are tuples in their order, and the driver takes each list in one go:
            # SQLAlchemy's own way costs a dozen changes of thread for every write, more than the rest of a request.
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            for statement, rows in (
                (self._start.text, self._start.rows(batch.starts)),
                (self._add_event, batch.events),
                (self._add_body, batch.bodies),
                (self._end.text, self._end.rows(batch.ends)),
            ):
                if rows:
                    await driver.executemany(statement, rows)

    async def events(self, run: str) -> Sequence[Row[Any]]:
        """Return the rows of a run's events in order."""
        table = schema.events
        return await self._rows(select(table).where(table.c.run == run).order_by(table.c.sequence))

    async def runs(self, limit: int, tenant_id: str | None = None, owner: str | None = None) -> Sequence[Row[Any]]:
        """Return the last runs, the newest first; only those of a tenant or an owner where one is given."""
        table = schema.runs
        query = select(table).order_by(table.c.started_at.desc(), table.c.run.desc()).limit(limit)
        if tenant_id is not None:
            query = query.where(table.c.tenant_id == tenant_id)
        if owner is not None:
            query = query.where(table.c.owner == owner)
        return await self._rows(query)

    async def interrupt(self, before: str) -> int:
        """Mark the runs that began before and have no ending; return how many."""
        table = schema.runs
        open_since = (table.c.status == "running") & (table.c.started_at < before)
        async with self._translated(), self._begin() as connection:
            done = await connection.execute(update(table).where(open_since).values(status="interrupted"))
        return int(done.rowcount)

    async def is_interrupted(self, run: str) -> bool:
        """Return whether a run is marked so."""
        table = schema.runs
        return bool(await self._rows(select(table.c.run).where(table.c.run == run, table.c.status == "interrupted")))

    async def body(self, run: str, name: str) -> bytes | None:
        """Return a body, or None where it was never kept or is forgotten."""
        table = schema.bodies
        rows = await self._rows(select(table.c.body).where(table.c.run == run, table.c.hash == name))
        return bytes(rows[0].body) if rows else None

    async def expire(self, now: str) -> int:
        """Delete the bodies whose time is over, their bytes included; return how many."""
        table = schema.bodies
        async with self._translated(), self._begin() as connection:
            over = table.c.expires_at <= now
            count = (await connection.execute(select(func.count()).select_from(table).where(over))).scalar_one()
            await connection.execute(delete(table).where(over))
        if count and self._engine is not None:
            # The deleted text still stands in the write-ahead log until that is written over.
            async with self._translated(), self._turn or nullcontext(), self._engine.connect() as connection:
                outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await outside.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(count)

    async def _rows(self, query: Executable) -> Sequence[Row[Any]]:
        async with self._translated(), self._begin() as connection:
            return (await connection.execute(query)).fetchall()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        if self._engine is None:
            raise LedgerUnavailable("the ledger is not open")
        async with self._turn or nullcontext(), self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except FOREIGN as error:
            raise LedgerUnavailable(
                f"the ledger cannot be used ({_cause(error)}); look at the disk and its file"
            ) from error


def _prepare(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema.versions.name):
        return None
    found: int | None = connection.execute(select(func.max(schema.versions.c.version))).scalar()
    return found


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
