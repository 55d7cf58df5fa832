"""Events: the journal's words.

An event carries no content. Bodies are named by hash and kept apart, so that events can become leaves of a Merkle
tree while bodies can be forgotten. Canonical JSON (sorted keys, no spaces, UTF-8) makes the same event the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

import orjson

SCHEMA = 1


class Act(StrEnum):
    """Everything that can happen to a run, in the order it usually does."""

    RUN_STARTED = "run.started"
    RUN_LABELLED = "run.labelled"
    RUN_JUDGED = "run.judged"
    RUN_PLANNED = "run.planned"
    STEP_BOUND = "step.bound"
    STEP_REBOUND = "step.rebound"
    ATTEMPT_STARTED = "attempt.started"
    ATTEMPT_SUCCEEDED = "attempt.succeeded"
    ATTEMPT_FAILED = "attempt.failed"
    ATTEMPT_REFUSED = "attempt.refused"
    STEP_FINISHED = "step.finished"
    STEP_FAILED = "step.failed"
    STEP_REVIEWED = "step.reviewed"
    RUN_CANCELLED = "run.cancelled"
    RUN_FINISHED = "run.finished"
    RUN_FAILED = "run.failed"
    ENDPOINT_CHANGED = "endpoint.changed"


ENDINGS = frozenset({Act.RUN_CANCELLED, Act.RUN_FINISHED, Act.RUN_FAILED})


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal. `sequence` counts the events of a run from 0."""

    tenant_id: str
    run: str
    sequence: int
    action: Act
    at: datetime
    step: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    schema: int = SCHEMA

    def canonical(self) -> bytes:
        """Return the event's canonical bytes."""
        return canonical(
            {
                "schema": self.schema,
                "tenant_id": self.tenant_id,
                "run": self.run,
                "sequence": self.sequence,
                "step": self.step,
                "attempt": self.attempt,
                "action": str(self.action),
                "at": self.at.isoformat(),
                "data": self.data,
            }
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"an event cannot hold a {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, decimals as texts, sets sorted."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a key that is no text, which takes orjson's slower path
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def digest(body: bytes) -> str:
    """Return the name of a body: its SHA-256 in hex."""
    return hashlib.sha256(body).hexdigest()


class Record(Protocol):
    """One run's pen: writes events in order, and bodies by hash. It never waits and never raises."""

    def event(
        self, action: Act, data: Mapping[str, Any] | None = None, *, step: str | None = None, attempt: int | None = None
    ) -> None:
        """Append an event."""

    def body(self, value: Any) -> str:
        """Keep a body, as canonical JSON, and return its hash; what retention forbids is hashed and dropped."""
