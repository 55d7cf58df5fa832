"""Faults: the ways in which a provider goes wrong, by name, as scripts of calls and spans of time.

Knows when a fault is due. Knows nothing of how it looks on the wire; `world.py` acts it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Fault(StrEnum):
    """What can go wrong with one call."""

    REFUSE = "refuse"  # nobody listens
    RESET = "reset"  # the connection is closed without a reply
    HANG = "hang"  # silence
    SLOW = "slow"  # every token takes ten times as long
    CUT = "cut"  # closed in mid-reply
    STALL = "stall"  # silent in mid-reply
    GARBAGE = "garbage"  # 200, and what follows is no reply
    BAD_CHUNK = "bad_chunk"  # one broken piece in an otherwise good reply
    ERROR_EVENT = "error_event"  # an error in band, under 200
    E401 = "401"
    E402 = "402"
    E403_REGION = "403_region"
    E403_MODERATION = "403_moderation"
    E404_MODEL = "404_model"
    E429 = "429"
    E451 = "451"
    E500 = "500"
    E503 = "503"
    E400 = "400"


STATUS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.E400: (400, "invalid_request_error", "the request has a field nobody knows"),
    Fault.E401: (401, "invalid_api_key", "incorrect API key provided"),
    Fault.E402: (402, "insufficient_balance", "the balance is used up"),
    Fault.E403_REGION: (403, "unsupported_country_region_territory", "country, region, or territory not supported"),
    Fault.E403_MODERATION: (403, "content_policy_violation", "the input was flagged by moderation"),
    Fault.E404_MODEL: (404, "model_not_found", "the model does not exist"),
    Fault.E429: (429, "rate_limit_exceeded", "too many requests"),
    Fault.E451: (451, "unavailable_for_legal_reasons", "this model is not available in your region"),
    Fault.E500: (500, "internal_error", "something broke"),
    Fault.E503: (503, "overloaded", "the engine is overloaded"),
}
"""Status, code and message of the faults that are an error reply."""


@dataclass(frozen=True, slots=True)
class Span:
    """A fault that lasts from one moment to another, in seconds of the simulation."""

    fault: Fault
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Script:
    """When a provider goes wrong: at which of its calls (from 0), and in which spans of time; calls go first."""

    calls: Mapping[int, Fault] = field(default_factory=lambda: MappingProxyType({}))
    spans: tuple[Span, ...] = ()
    retry_after_s: float | None = 1.0

    def due(self, call: int, now: float) -> Fault | None:
        """Return the fault of this call at this moment, or None."""
        found = self.calls.get(call)
        if found is not None:
            return found
        return next((span.fault for span in self.spans if span.start <= now < span.end), None)


def first(count: int, fault: Fault) -> Script:
    """Return the script of a provider whose first `count` calls go wrong."""
    return Script(calls=MappingProxyType(dict.fromkeys(range(count), fault)))


def always(fault: Fault) -> Script:
    """Return the script of a provider that never works."""
    return Script(spans=(Span(fault, 0.0, float("inf")),))
