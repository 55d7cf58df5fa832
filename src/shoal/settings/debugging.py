"""Debugging: whether whoever runs this wants to see a fault in full."""

from __future__ import annotations

import os
from collections.abc import Mapping

DEBUG_VARIABLE = "SHOAL_DEBUG"


def debugging(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether `SHOAL_DEBUG` asks for tracebacks."""
    env = os.environ if environ is None else environ
    return env.get(DEBUG_VARIABLE, "") not in ("", "0")
