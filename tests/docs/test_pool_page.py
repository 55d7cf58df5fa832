"""The page on the pool says what the code does: its table of transitions and its constants."""

from __future__ import annotations

import re
from pathlib import Path

from shoal.pool import bound, pace, retry
from shoal.pool.breaker import TRANSITIONS, Tuning

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "pool.md").read_text()


def test_the_table_of_transitions_is_the_codes() -> None:
    rows = re.findall(r"^\| (closed|open|probing|confirming) \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(state), str(signal), str(then)) for (state, signal), then in TRANSITIONS.items()]


def test_every_constant_has_the_value_the_page_gives() -> None:
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    homes = {"Tuning": Tuning(), "pace": pace, "retry": retry, "bound": bound}
    assert len(rows) == 13
    for home, name, value in rows:
        assert str(getattr(homes[home], name)) == value
