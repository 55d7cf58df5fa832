"""Pace: how fast an endpoint usually answers, and so how soon its silence is one.

Knows durations that were observed. Knows no clock. A fixed limit makes everybody wait for the slowest endpoint there
could be; a limit learned from the endpoint itself notices a hang early. Two figures are kept, because they scale with
different things: a streamed call's first byte with the prompt, a whole reply with the length of the answer.
"""

from __future__ import annotations

from collections import deque

LEAST = 20  # observations before a limit is learned
KEPT = 128
FACTOR = 8.0  # times the 95th percentile: of log-normal latencies with sigma 0.8 that cuts one call in 90,000
FLOOR_S = 1.0
HERE_FLOOR_S = 3.0  # a server on this machine shares its processors with us and with the other servers here
CROWD = 8  # calls under way that make a server half as fast; providers batch more, a laptop fewer
PREFILL_BYTES_PER_S = 4000.0  # a slow server's reading of a long prompt, about 1,000 tokens a second
SMOOTHING = 0.2  # of the running mean latency


class Pace:
    """What was observed of one endpoint; mutable."""

    __slots__ = ("_added", "_firsts", "_first_p95", "_rate_p95", "_rates", "latency_s")

    def __init__(self) -> None:
        self._firsts: deque[float] = deque(maxlen=KEPT)
        self._rates: deque[float] = deque(maxlen=KEPT)
        self._first_p95: float | None = None
        self._rate_p95: float | None = None
        self._added = 0
        self.latency_s: float | None = None

    def note(self, *, streamed: bool, first_byte_s: float, latency_s: float, output: int) -> None:
        """Take the times of one success."""
        if streamed:
            self._firsts.append(first_byte_s)
        else:
            self._rates.append(first_byte_s / max(output, 1))
        known = self.latency_s
        self.latency_s = latency_s if known is None else known + SMOOTHING * (latency_s - known)
        self._added += 1
        if self._added % 8 == 0 or self._added <= LEAST:
            self._first_p95 = _p95(self._firsts)
            self._rate_p95 = _p95(self._rates)

    def first_byte_s(
        self,
        limit_s: float,
        *,
        streamed: bool,
        prompt_bytes: int,
        output: int,
        under_way: int = 1,
        is_here: bool = False,
    ) -> float:
        """Return how long to wait for the first byte: `limit_s`, or less once the endpoint's own pace is known.

        A crowd of our own making is no hang: the more calls are under way, the longer each may take.
        """
        if streamed:
            known, work = self._first_p95, 1
        else:
            known, work = self._rate_p95, output
        if known is None:
            return limit_s
        patience_s = max(HERE_FLOOR_S if is_here else FLOOR_S, FACTOR * known * work) * (
            1 + max(under_way - 1, 0) / CROWD
        )
        return min(limit_s, patience_s + prompt_bytes / PREFILL_BYTES_PER_S)


def _p95(seen: deque[float]) -> float | None:
    return sorted(seen)[int(len(seen) * 0.95)] if len(seen) >= LEAST else None
