"""Splits: which numbers a model may learn from, which the report card asks, which only a test may ask.

Knows numbers only: every number from 100 to 99,999 belongs to exactly one split by a stable hash, so two splits
never share an operand, whatever the wording. Numbers below 100 are the alphabet of the rest and belong to `fit`
alone; the one exception are the single digits 2 to 9 as multipliers, which every split shares because there are
only eight of them. Knows nothing of languages or questions.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Literal

Split = Literal["fit", "card", "test"]

LARGEST = 99_999
SMALLEST_SPLIT = 100
MULTIPLIERS = range(2, 10)


def split_of(number: int) -> Split:
    """Name the one split that `number` belongs to, the same on every machine and in every release."""
    if number < SMALLEST_SPLIT:
        return "fit"
    bucket = hashlib.sha256(f"shoal practice {number}".encode()).digest()[0] % 10
    return "card" if bucket == 0 else "test" if bucket == 1 else "fit"


@cache
def numbers_of(split: Split) -> tuple[tuple[int, ...], ...]:
    """List the numbers of `split` by their count of digits: position 0 is empty, position 5 holds 10,000 and up."""
    found: list[list[int]] = [[] for _ in range(6)]
    for number in range(LARGEST + 1):
        if split_of(number) == split:
            found[len(str(number))].append(number)
    return tuple(tuple(numbers) for numbers in found)


def belongs(operands: Sequence[int], split: Split, *, multiplies: bool = False) -> bool:
    """Say whether a question over `operands` belongs to `split`; a multiplier of one digit is nobody's."""
    own = operands[:1] if multiplies and operands[1] in MULTIPLIERS else operands
    return all(split_of(number) == split for number in own)
