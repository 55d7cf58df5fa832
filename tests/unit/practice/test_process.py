"""A practice model as an endpoint, and the notice by which a running pool is found."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from shoal.core.errors import SetupError
from shoal.core.selector import parse
from shoal.practice import roster
from shoal.practice.control import FILE, Control, Notice
from shoal.practice.process import endpoint, read_card

NOTICE = Notice(1, 2, "secret", {"ada": 3})


def row(**facts: object) -> roster.Member:
    first = next(iter(roster.members().values()))
    return replace(first, **facts)  # type: ignore[arg-type]  # the tests name only fields of Member


def test_every_fact_of_an_endpoint_is_known_and_of_one_country() -> None:
    found = endpoint(row(country="KR", price_in_usd=Decimal("1.5")), "http://127.0.0.1:9/v1", {})
    for kind in ("host", "operator-country", "developer-country"):
        assert parse(f"{kind}:KR").matches(found) is True
        assert parse(f"{kind}:CN").matches(found) is False
    assert found.id == f"practice/{found.native_name}"
    assert (found.provider, found.dialect, found.auth, found.attested) == (
        "practice",
        "openai-chat",
        "none",
        "operator",
    )
    assert found.practice and not found.local
    assert found.storage_country == "KR"
    assert found.retention_days == 0 and found.trains_on_input is False
    assert found.price is not None and found.price.input == Decimal("1.5")


def test_skills_are_what_the_card_shows() -> None:
    card = {"read:ja": (95, 100), "write:ja": (50, 100), "add": (49, 100), "subtract": (0, 0)}
    found = endpoint(row(skills=("read:ja",), roles=("solver",)), "http://127.0.0.1:9/v1", card)
    assert found.skills == frozenset({"read:ja", "write:ja"})
    assert found.card == card


def test_who_was_taught_everything_is_mixed_and_who_reviews_verifies() -> None:
    everything = tuple({skill for member in roster.members().values() for skill in member.skills})
    assert endpoint(row(skills=everything, roles=("solver",)), "http://x/v1", {}).skills == frozenset({"mixed"})
    assert endpoint(row(skills=(), roles=("verifier",)), "http://x/v1", {}).skills == frozenset({"verify"})


def test_a_notice_comes_back_as_written_and_only_its_writer_withdraws_it(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    NOTICE.write(state)
    assert Notice.read(state) == NOTICE
    assert [path.name for path in state.iterdir()] == [FILE]
    replace(NOTICE, token="another").withdraw(state)
    assert Notice.read(state) == NOTICE
    NOTICE.withdraw(state)
    assert list(state.iterdir()) == []


def test_no_notice_or_a_broken_one_says_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="`shoal serve` starts one"):
        Control.of(tmp_path)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(SetupError, match="start the practice pool again"):
        Control.of(tmp_path)


def test_a_model_that_was_never_examined_is_taken_at_the_rosters_word() -> None:
    assert endpoint(row(skills=("read:ja",), roles=("solver",)), "http://x/v1", None).skills == frozenset({"read:ja"})


def test_the_committed_card_is_read_as_counts() -> None:
    for name, tasks in read_card().items():
        assert name in roster.members()
        for task, (right, asked) in tasks.items():
            assert 0 <= right <= asked and asked >= 500, (name, task)
