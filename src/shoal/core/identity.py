"""Names for runs: sortable by time, unguessable, safe in URLs and headers."""

from __future__ import annotations

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RUN = re.compile(r"run_[0-9a-z]{26}")


def new_run() -> str:
    """Return a fresh run id: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "run_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_run(text: str) -> bool:
    """Return whether a text has the shape of a run id."""
    return _RUN.fullmatch(text) is not None
