"""The memo: verdicts already given, bounded, the question asked longest ago out first.

A verdict is found by its question (label facts, narrowing, action) and by the identity of its endpoint: endpoints are
immutable, so the same object has the same facts, and comparing identities costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from shoal.core.endpoint import Endpoint
from shoal.core.verdict import Verdict

MAX_VERDICTS = 20_000  # about 10 MB of verdicts with their reasons

Shelf = dict[int, tuple[Endpoint, Verdict]]
"""The verdicts of one question. The endpoint is kept beside its verdict: while it is, nothing else has its identity."""


class Memo:
    """Remembers about `max_verdicts` verdicts; used from one event loop, so it needs no lock."""

    def __init__(self, max_verdicts: int = MAX_VERDICTS) -> None:
        self._max = max_verdicts
        self._shelves: OrderedDict[Hashable, Shelf] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def shelf(self, question: Hashable) -> Shelf:
        """Return what is remembered of a question: nothing where it was never asked or is forgotten."""
        shelf = self._shelves.get(question)
        if shelf is None:
            return {}
        self._shelves.move_to_end(question)
        return shelf

    def put(self, question: Hashable, endpoint: Endpoint, verdict: Verdict) -> None:
        """Keep a verdict, and forget old questions until the bound holds again."""
        shelf = self._shelves.setdefault(question, {})
        self._count += id(endpoint) not in shelf
        shelf[id(endpoint)] = (endpoint, verdict)
        while self._count > self._max:
            _, oldest = self._shelves.popitem(last=False)
            self._count -= len(oldest)
