"""Faults: which requests they strike, in which order, and what a plain refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.practice.fault import KINDS, Fault, FaultBook, Kind, refusal


def struck(book: FaultBook, requests: int) -> list[bool]:
    return [book.take() is not None for _ in range(requests)]


@given(times=st.integers(1, 20), after=st.integers(0, 20), requests=st.integers(0, 60))
def test_exactly_the_requests_after_k_are_struck_n_times(times: int, after: int, requests: int) -> None:
    book = FaultBook()
    book.add(Fault(Kind.ERROR, times, after))
    assert struck(book, requests) == [after <= i < after + times for i in range(requests)]


def test_zero_times_means_until_cleared() -> None:
    book = FaultBook()
    book.add(Fault(Kind.ERROR, times=0))
    assert all(struck(book, 100))
    book.clear()
    assert not any(struck(book, 3))


def test_a_second_fault_waits_for_the_first() -> None:
    book = FaultBook()
    book.add(Fault(Kind.ERROR, times=2, after=1))
    book.add(Fault(Kind.HANG, times=1, after=1))
    kinds = [fault.kind if (fault := book.take()) else None for _ in range(6)]
    assert kinds == [None, Kind.ERROR, Kind.ERROR, None, Kind.HANG, None]
    assert book.pending() == ()


def test_plain_values_make_a_fault_and_come_back() -> None:
    fault = Fault.parse("429", 3, 2)
    assert fault.as_dict() == {"kind": "429", "times": 3, "after": 2, "seconds": 1.0}
    assert Fault.parse("slow", seconds=2).seconds == 2.0


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (("flood",), "kind of fault"),
        ((429,), "kind of fault"),
        (("429", "3"), "`times`"),
        (("429", True), "`times`"),
        (("429", 1, -1), "`after`"),
        (("429", 1, 0, float("nan")), "`seconds`"),
        (("429", 1, 0, "1"), "`seconds`"),
    ],
)
def test_values_a_fault_cannot_have_are_named(values: tuple[object, ...], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Fault.parse(*values)


def test_only_four_kinds_are_plain_refusals() -> None:
    plain = {kind: refusal(Fault.parse(kind), "ada") for kind in KINDS}
    assert {kind: found[0] for kind, found in plain.items() if found} == {
        "429": 429,
        "500": 500,
        "403": 403,
        "451": 451,
    }
    limited = plain["429"]
    assert limited is not None and limited[2] == {"retry-after": "1"}
    legal = plain["451"]
    assert legal is not None and "not available in your region" in legal[1]["error"]["message"]
