"""Fault: the ways a practice endpoint can be told to misbehave, and for how many requests.

Knows kinds, counts and the words of refusals. Knows no socket: what a fault does to a reply is the server's business.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What goes wrong."""

    RATE = "429"  # too many requests, with Retry-After
    ERROR = "500"
    FORBIDDEN = "403"  # not available in your region
    LEGAL = "451"  # not available in your region, for legal reasons
    HANG = "hang"  # the request is taken and never answered
    SLOW = "slow"  # the answer comes token by token, with pauses
    CUT = "cut"  # some of the answer, then a closed connection without an end
    GARBAGE = "garbage"  # status 200 and bytes that are neither JSON nor events
    KILL = "kill"  # the listener closes, open connections are reset


KINDS = tuple(str(kind) for kind in Kind)
SECONDS = {Kind.RATE: 1.0, Kind.SLOW: 0.5}
MAX_COUNT = 1_000_000
MAX_SECONDS = 3600.0
_REGION = "Country, region, or territory not supported"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: let `after` requests pass, then strike `times` times (0 = until cleared).

    `seconds` is what 429 says in Retry-After and the pause of `slow` between two tokens.
    """

    kind: Kind
    times: int = 1
    after: int = 0
    seconds: float = 1.0

    @classmethod
    def parse(cls, kind: object, times: object = 1, after: object = 0, seconds: object = None) -> Fault:
        """Return the fault that plain values describe.

        Raises:
            ValueError: a value is not one a fault can have; the message names it.
        """
        if kind not in KINDS:
            raise ValueError(f"`{kind}` is no kind of fault; choose one of {', '.join(KINDS)}")
        for name, count in (("times", times), ("after", after)):
            if type(count) is not int or not 0 <= count <= MAX_COUNT:
                raise ValueError(f"`{name}` is a whole number from 0 to {MAX_COUNT}, found {count!r}")
        wanted = Kind(str(kind))
        if seconds is None:
            seconds = SECONDS.get(wanted, 1.0)
        if type(seconds) not in (int, float) or not 0 <= seconds <= MAX_SECONDS:  # type: ignore[operator]
            raise ValueError(f"`seconds` is a number from 0 to {MAX_SECONDS:g}, found {seconds!r}")
        return cls(wanted, int(times), int(after), float(seconds))  # type: ignore[call-overload, arg-type]

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as plain values."""
        return {"kind": str(self.kind), "times": self.times, "after": self.after, "seconds": self.seconds}


class FaultBook:
    """The faults of one model, one behind another: the next begins when the one before is used up."""

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()

    def add(self, fault: Fault) -> None:
        """Write a fault behind those already there."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    def take(self) -> Fault | None:
        """Count one request, and return the fault that strikes it."""
        if not self._faults:
            return None
        fault = self._faults[0]
        if fault.after > 0:
            self._faults[0] = replace(fault, after=fault.after - 1)
            return None
        if fault.times == 1:
            self._faults.popleft()
        elif fault.times > 1:
            self._faults[0] = replace(fault, times=fault.times - 1)
        return fault

    def pending(self) -> tuple[Fault, ...]:
        """Return what is still to come, first first."""
        return tuple(self._faults)


def refusal(fault: Fault, model: str) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    """Return status, body and extra headers of a fault that is a plain refusal, or None for the other kinds."""
    match fault.kind:
        case Kind.RATE:
            message = f"Rate limit reached for `{model}`; please try again in {fault.seconds:g}s"
            headers = {"retry-after": f"{fault.seconds:g}"}
            return 429, _error(message, "requests", "rate_limit_exceeded"), headers
        case Kind.ERROR:
            message = "The server had an error while processing your request"
            return 500, _error(message, "server_error", None), {}
        case Kind.FORBIDDEN:
            return 403, _error(_REGION, "request_forbidden", "unsupported_country_region_territory"), {}
        case Kind.LEGAL:
            message = f"`{model}` is not available in your region for legal reasons"
            return 451, _error(message, "request_forbidden", "unavailable_for_legal_reasons"), {}
    return None


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
