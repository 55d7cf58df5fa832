"""Laws of the ledger: money adds up exactly, and events come back as they went in."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import Still
from shoal.core.event import Act, Event, canonical
from shoal.ledger.journal import encoded
from shoal.ledger.ledger import Ledger
from shoal.ledger.views import view

money = st.one_of(
    st.none(), st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False)
)
attempts = st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), money), max_size=12)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def events_of(
    tried: list[tuple[str, bool, Decimal | None]], total: Decimal | None
) -> list[tuple[Act, Any, str | None, int | None]]:
    told: list[tuple[Act, Any, str | None, int | None]] = [(Act.RUN_STARTED, {"model": "shoal"}, None, None)]
    for number, (step, succeeded, cost) in enumerate(tried):
        act = Act.ATTEMPT_SUCCEEDED if succeeded else Act.ATTEMPT_FAILED
        told.append((Act.ATTEMPT_STARTED, {"endpoint": "a/x"}, step, number))
        told.append((act, {"endpoint": "a/x", "cost_usd": cost}, step, number))
    return [*told, (Act.RUN_FINISHED, {"cost_usd": total}, None, None)]


@settings(max_examples=40, deadline=None)
@given(attempts)
def test_attempts_sum_to_steps_and_steps_to_the_run_also_after_storage(
    tried: list[tuple[str, bool, Decimal | None]],
) -> None:
    costs = [cost for _, _, cost in tried]
    known = sum((c for c in costs if c is not None), Decimal(0))
    total = None if None in costs else known
    told = events_of(tried, total)

    async def stored() -> Any:
        async with Ledger("sqlite+aiosqlite://", clock=Still()) as ledger:
            record = ledger.record("run_a")
            for act, data, step, attempt in told:
                record.event(act, data, step=step, attempt=attempt)
            await ledger.flush("run_a")
            return await ledger.run("run_a"), (await ledger.runs(1))[0]

    live = view(
        [
            Event("local", "run_a", number, act, Still().now(), step, attempt, data)
            for number, (act, data, step, attempt) in enumerate(told)
        ]
    )
    kept, line = asyncio.run(stored())
    for seen in (live, kept):
        assert seen.cost_usd == total and seen.spent_usd == known
        assert sum((s.spent_usd for s in seen.steps), Decimal(0)) == known
        assert sum(len(s.attempts) for s in seen.steps) == len(tried)
    assert line.cost_usd == total
    assert live.as_dict() == kept.as_dict()


@settings(max_examples=200, deadline=None)
@given(plain)
def test_anything_can_be_written_and_written_bytes_are_canonical(value: Any) -> None:
    body = encoded(value)
    assert canonical(orjson.loads(body)) == body == encoded(value)
