"""`make measure`: the figures we state, measured again and written with what they were measured on.

    python -m shoal.evaluation.measure [--only overhead|decision|start|practice|outage ...] [--questions N] [--out FILE]

Ratios within one run are what to compare; absolute times depend on the machine and its neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

from shoal.evaluation.exam import Exam, sit
from shoal.evaluation.instance import serving
from shoal.evaluation.load import Load, drive, upstream
from shoal.evaluation.outage import outages

OUT = Path("docs/reports/measure.json")
FIXED = """
[instance]
country = "KR"
[discovery]
enabled = false
[practice]
enabled = false
[policy]
deny = ["operator-country:KP"]
[[provider]]
id = "fixed"
base_url = "{url}"
auth = "none"
models = ["fixed/words"]
host_country = "KR"
operator = "bench"
operator_country = "KR"
attested = "operator"
prices = {{ "*" = {{ input = 1, output = 2 }} }}
[[model]]
id = "fixed/words"
developer = "bench"
developer_country = "KR"
via = [{{ provider = "fixed", model = "fixed" }}]
"""


def overhead(rounds: int = 3, requests: int = 3000) -> dict[str, Any]:
    """Requests per second and latency through Shoal and straight to the same upstream, in turn."""
    rows: dict[str, list[dict[str, float]]] = {"direct": [], "shoal": []}
    with upstream() as base, serving(FIXED.format(url=base)) as shoal:
        targets = {"direct": base, "shoal": f"{shoal.url}/v1"}
        for url in targets.values():
            asyncio.run(drive(url, model="shoal", requests=400, concurrency=8))
        for _ in range(rounds):
            for name, url in targets.items():
                cpu = shoal.cpu_s()
                busy = asyncio.run(drive(url, model="shoal", requests=requests, concurrency=16))
                cpu = shoal.cpu_s() - cpu
                calm = asyncio.run(drive(url, model="shoal", requests=requests // 6, concurrency=1))
                rows[name].append(_row(busy, calm, cpu))
        memory = shoal.memory_mb()
    found = {name: {key: statistics.median(r[key] for r in many) for key in many[0]} for name, many in rows.items()}
    direct, through = found["direct"], found["shoal"]
    return {
        **found,
        "ratio_requests_per_s": round(through["requests_per_s"] / direct["requests_per_s"], 4),
        "added_p50_ms": round(through["p50_ms"] - direct["p50_ms"], 3),
        "added_p99_ms": round(through["p99_ms"] - direct["p99_ms"], 3),
        "cpu_us_per_request": round(through["cpu_us"], 1),
        "memory_mb": round(memory, 1),
        "with": "key-less loopback, policy with one rule, journal with bodies on disk, one process",
    }


def _row(busy: Load, calm: Load, cpu_s: float) -> dict[str, float]:
    return {
        "requests_per_s": round(busy.per_second, 1),
        "failed": busy.failed + calm.failed,
        "p50_ms": round(calm.quantile_ms(0.50), 3),
        "p99_ms": round(calm.quantile_ms(0.99), 3),
        "cpu_us": round(cpu_s / len(busy.latencies_s) * 1e6, 1) if busy.latencies_s else 0.0,
    }


def decision(endpoints: int = 50, prompts: int = 2000) -> dict[str, Any]:
    """Labels, memoised verdicts, features, plan and ranking for one request, without any I/O."""
    from shoal.coordinator.coordinator import Coordinator
    from shoal.core.plan import State
    from shoal.labels.labels import Labels
    from shoal.policy.policy import Policy
    from shoal.policy.rules import Rules
    from shoal.simulation.world import make_world

    pool = make_world(1, endpoints=endpoints, outages=False).endpoints
    policy = Policy.compile(Rules(deny=("operator-country:KP", "developer-country:RU")))
    coordinator, labels = Coordinator(), Labels()
    times = []
    gc.collect()
    gc.freeze()  # as `shoal serve` does once everything is loaded
    for request in _prompts(prompts):
        started = time.perf_counter()
        labelled = request.labelled(labels.of(request))
        verdicts = policy.judge_all(pool, labelled.prompt.label, labelled.narrowing)
        permits = tuple(e for e, v in zip(pool, verdicts, strict=True) if v.is_permit)
        state = State(labelled, coordinator.features(labelled), permits)
        plan = coordinator.ask(state)
        coordinator.rank(state, plan.steps[0], permits, {})  # type: ignore[union-attr]  # a first answer has steps
        times.append(time.perf_counter() - started)
    warm = sorted(times[len(times) // 10 :])
    return {
        "endpoints": endpoints,
        "prompts": len(warm),
        "p50_ms": round(warm[len(warm) // 2] * 1000, 3),
        "p99_ms": round(warm[int(len(warm) * 0.99)] * 1000, 3),
        "goal": "p50 <= 1.5 ms, p99 <= 5 ms",
    }


def _prompts(count: int) -> Iterable[Any]:
    """Prompts of up to 2,000 characters in several scripts, none the same as another."""
    from shoal.core.identity import new_run
    from shoal.core.item import say
    from shoal.core.request import Prompt, Request

    random = Random(7)
    words = "the law of rivers 東京 銀行 서울 은행 ธนาคาร बैंक البنك ngân hàng banque code def return matrix 2026".split()
    for number in range(count):
        length = random.choice((40, 200, 800, 1900))
        text = f"{number} "
        while len(text) < length:
            text += random.choice(words) + " "
        yield Request(new_run(), "shoal", Prompt((say(text[:2000]),)))


def start() -> dict[str, Any]:
    """Seconds until `shoal --help` is printed and until a server with the practice pool answers; best of three."""

    def helps() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "shoal", "--help"], check=True, capture_output=True)
        return time.perf_counter() - begun

    def serves() -> float:
        with serving() as shoal:
            return shoal.started_s

    return {
        "help_s": round(min(helps() for _ in range(3)), 3),
        "help_goal_s": 0.4,
        "serve_s": round(min(serves() for _ in range(3)), 3),
        "serve_goal_s": 2.0,
    }


def practice(questions: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """The practice pool on the mixed suite of the `test` split, over HTTP: singles, Shoal, and each country gone."""
    from shoal.practice import roster
    from shoal.practice.questions import generate

    asked = generate(20261120, questions, split="test")
    with serving() as shoal:

        def exam(name: str, of: str, model: str, limits: Mapping[str, Any] | None = None) -> Exam:
            def told(done: int, total: int) -> None:
                if done % 100 == 0 or done == total:
                    progress(f"{name}: {done}/{total}")

            return asyncio.run(
                sit(shoal.url, model, asked, shoal=limits, progress=told, conditions={"name": name, "of": of})
            )

        exams = [exam(m, "single", f"practice/{m}") for m in roster.members()]
        exams += [exam(m, "shoal", m) for m in ("shoal-fast", "shoal", "shoal-deep")]
        for country in sorted({m.country for m in roster.members().values()}):
            exams.append(exam(f"without {country}", "country", "shoal-deep", {"exclude": [f"country:{country}"]}))
    return _judged(asked, exams)


def _judged(asked: Sequence[Any], exams: Sequence[Exam]) -> dict[str, Any]:
    rows = [e.as_dict() for e in exams]
    singles = [r for r in rows if r["of"] == "single"]
    for row in rows:
        if row["of"] == "country":
            row["limit_by_card"] = _limit(asked, row["name"].removeprefix("without "))
        if row["of"] != "shoal":
            row.pop("by_language")
    best = max(singles, key=lambda r: r["score"]["share"])
    deep = next(r for r in rows if r["name"] == "shoal-deep")
    least = min((r for r in rows if r["of"] == "country"), key=lambda r: r["score"]["share"])
    return {
        "split": "test",
        "suite": "mixed",
        "questions": len(asked),
        "questions_sha256": hashlib.sha256("\n".join(q.prompt for q in asked).encode()).hexdigest(),
        "bars": {
            "shoal-deep >= 0.95": deep["score"],
            "best single <= 0.45": {"name": best["name"], **best["score"]},
            "random single, expected": round(statistics.mean(r["score"]["share"] for r in singles), 4),
            "worst country gone >= 0.80": {"name": least["name"], **least["score"], "limit": least["limit_by_card"]},
        },
        "rows": rows,
    }


def _limit(asked: Sequence[Any], gone: str) -> float:
    """Return what the best holders outside a country could reach by their own cards, were every step one try."""
    from shoal.practice import roster
    from shoal.practice.process import read_card

    card = {name: row for name, row in read_card().items() if roster.members()[name].country != gone}
    best: dict[str, float] = {}
    for row in card.values():
        for task, (right, total) in row.items():
            best[task] = max(best.get(task, 0.0), right / total)
    chances = []
    for question in asked:
        chance = 1.0
        for skill in question.skills:
            chance *= best.get(skill, 0.0)
        chances.append(chance)
    return round(statistics.mean(chances), 4)


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _weights() -> str:
    digest = hashlib.sha256()
    folder = Path(str(resources.files("shoal.practice").joinpath("weights")))
    for path in sorted(folder.glob("*.npz")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(prog="python -m shoal.evaluation.measure", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["overhead", "decision", "start", "practice", "outage"])
    parser.add_argument("--questions", type=int, default=1000, help="questions of the mixed suite (default 1000)")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()

    def progress(line: str) -> None:
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{line:<60}", end=end, file=sys.stderr, flush=True)

    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "overhead": overhead,
        "decision": decision,
        "start": start,
        "practice": lambda: practice(chosen.questions, progress),
        "outage": outages,
    }
    report: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    for name in chosen.only:
        progress(f"measuring: {name}")
        report[name] = {
            **runs[name](),
            "measured": {
                "command": f"python -m shoal.evaluation.measure --only {name}",
                "commit": _commit(),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "weights_sha256": _weights(),
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
            },
        }
        shown = {k: v for k, v in report[name].items() if k != "rows"}
        print(json.dumps({name: shown}, indent=2, ensure_ascii=False))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"written: {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
