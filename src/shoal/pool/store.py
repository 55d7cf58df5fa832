"""The store: where breakers, seats and retry allowances are kept, so that replicas can share them later.

Knows keys and values, not what they mean. The port is synchronous on purpose: an attempt must never wait for a
network to learn whether it may start. A shared store answers from its own copy, leases seats by the block, and carries
changes to the others behind the scenes; `swap` is what lets it refuse a change that was made on stale ground.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol


class Table(StrEnum):
    """What is kept: breakers (with the holds they enforce), seats taken, and retries allowed, each by endpoint."""

    BREAKER = "breaker"
    SEATS = "seats"
    RETRIES = "retries"


class Store(Protocol):
    """A small table of immutable values."""

    def read(self, table: Table, key: str) -> Any:
        """Return the value, or None."""

    def swap(self, table: Table, key: str, old: Any, new: Any) -> bool:
        """Put `new` where `old` still stands; return whether it did. `new` None takes the value away."""


class LocalStore:
    """A store for one process: reads and swaps happen between awaits, so they are atomic."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[Table, dict[str, Any]] = {table: {} for table in Table}

    def read(self, table: Table, key: str) -> Any:
        """Return the value, or None."""
        return self._tables[table].get(key)

    def swap(self, table: Table, key: str, old: Any, new: Any) -> bool:
        """Put `new` where `old` still stands; return whether it did."""
        rows = self._tables[table]
        found = rows.get(key)
        if found is not old and found != old:
            return False
        if new is None:
            rows.pop(key, None)
        else:
            rows[key] = new
        return True
