"""Exams: practice questions put to a running Shoal over HTTP, and what came back.

Knows the address of an instance and the rule of what is right. Failures count as failures. Every figure carries the
number of questions and a 95 % interval.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import sqrt
from typing import Any

import aiohttp
import orjson

from shoal.practice.questions import Question, is_right

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one question got."""

    question: Question
    text: str | None
    status: int
    right: bool
    latency_s: float
    calls: int = 1
    cost_usd: Decimal = Decimal(0)
    served_by: str = ""
    error: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Right out of asked, with a Wilson interval at 95 %."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """The share that was right."""
        return self.right / self.asked if self.asked else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson 1927)."""
        if not self.asked:
            return 0.0, 1.0
        z, n, p = 1.96, self.asked, self.share
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, centre - half), min(1.0, centre + half)

    def as_dict(self) -> dict[str, Any]:
        """Return the score in plain values."""
        low, high = self.interval
        return {
            "right": self.right,
            "asked": self.asked,
            "share": round(self.share, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }


@dataclass(frozen=True, slots=True)
class Exam:
    """All the replies of one sitting."""

    model: str
    replies: tuple[Reply, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def score(self) -> Score:
        """All questions together."""
        return Score(sum(r.right for r in self.replies), len(self.replies))

    def by(self, key: Callable[[Question], str]) -> dict[str, Score]:
        """Return scores by a property of the question."""
        asked: Counter[str] = Counter()
        right: Counter[str] = Counter()
        for reply in self.replies:
            name = key(reply.question)
            asked[name] += 1
            right[name] += reply.right
        return {name: Score(right[name], asked[name]) for name in sorted(asked)}

    def as_dict(self) -> dict[str, Any]:
        """Return the sitting in plain values."""
        n = len(self.replies) or 1
        latencies = sorted(r.latency_s for r in self.replies) or [0.0]
        return {
            "model": self.model,
            **self.conditions,
            "score": self.score.as_dict(),
            "by_level": {k: v.as_dict() for k, v in self.by(lambda q: q.level).items()},
            "by_language": {k: v.as_dict() for k, v in self.by(lambda q: q.language).items()},
            "calls_mean": round(sum(r.calls for r in self.replies) / n, 3),
            "cost_usd_mean": format(sum((r.cost_usd for r in self.replies), Decimal(0)) / n, ".3g"),
            "latency_p50_s": round(latencies[len(latencies) // 2], 4),
            "latency_p95_s": round(latencies[int(len(latencies) * 0.95)], 4),
            "errors": dict(Counter(f"{r.status} {r.error}" for r in self.replies if r.status != 200)),
        }


async def sit(
    url: str,
    model: str,
    questions: Sequence[Question],
    *,
    shoal: Mapping[str, Any] | None = None,
    concurrency: int = 16,
    progress: Progress | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> Exam:
    """Put every question to `model` at `url` and return the replies in the order of the questions."""
    waiting = asyncio.Semaphore(concurrency)
    done = 0
    timeout = aiohttp.ClientTimeout(total=180)
    async with aiohttp.ClientSession(
        url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0), trust_env=False
    ) as session:

        async def one(question: Question) -> Reply:
            nonlocal done
            async with waiting:
                reply = await ask(session, model, question, shoal)
            done += 1
            if progress is not None:
                progress(done, len(questions))
            return reply

        replies = await asyncio.gather(*(one(q) for q in questions))
    return Exam(model, tuple(replies), conditions or {})


async def ask(session: aiohttp.ClientSession, model: str, question: Question, shoal: Mapping[str, Any] | None) -> Reply:
    """Put one question; whatever goes wrong is a wrong reply with its reason."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": question.prompt}]}
    if shoal:
        body["shoal"] = dict(shoal)
    started = time.perf_counter()
    try:
        async with session.post("/v1/chat/completions", json=body) as response:
            raw = await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError) as error:
        return Reply(question, None, 0, False, time.perf_counter() - started, error=type(error).__name__)
    latency = time.perf_counter() - started
    try:
        reply = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Reply(question, None, status, False, latency, error="unreadable")
    if status != 200:
        refusal = reply.get("error", {})
        detail = f"{refusal.get('message')} {refusal.get('shoal')}"
        return Reply(question, None, status, False, latency, error=str(refusal.get("code")), detail=detail)
    text = reply["choices"][0]["message"]["content"] or ""
    inner = reply["usage"].get("shoal") or {}
    return Reply(
        question,
        text,
        status,
        is_right(question, text),
        latency,
        calls=int(inner.get("calls", 1)),
        cost_usd=Decimal(inner.get("cost_usd") or 0),
        served_by=str(inner.get("served_by", "")),
    )
