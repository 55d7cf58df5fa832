"""Checkers: what must hold of every history, read from the journal and the network alone.

Law is checked by an evaluation of its own, on selectors, not by asking the policy again.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import orjson

from shoal.core.endpoint import Endpoint
from shoal.core.event import ENDINGS, Act, Event
from shoal.core.request import Request
from shoal.core.selector import parse
from shoal.simulation.history import History


def violations(history: History) -> list[str]:
    """Return everything that is wrong with a history, in words; empty when all holds."""
    return [
        *_endings(history),
        *_permits(history),
        *_budgets(history),
        *_attempts(history),
        *_streams(history),
        *_leftovers(history),
    ]


def forbidden(endpoint: Endpoint, request: Request, history: History) -> str | None:
    """Return why this endpoint must not see this request, or None; unknown facts forbid."""
    rules = history.rules
    if any(parse(text).matches(endpoint) is not False for text in rules.deny):
        return "deny"
    if rules.allow and not any(parse(text).matches(endpoint) is True for text in rules.allow):
        return "allow"
    if request.narrowing.objection(endpoint):
        return "narrowing"
    if request.prompt.label.personal and None in (endpoint.host_country, endpoint.operator_country, endpoint.attested):
        return "unknown"
    return None


def _endings(history: History) -> Iterator[str]:
    for ending in history.endings:
        events = history.events.get(ending.request.run, [])
        ends = [e for e in events if e.action in ENDINGS]
        if len(ends) != 1:
            yield f"{ending.request.run}: {len(ends)} endings in the journal, the client saw `{ending.how}`"
        elif events[-1] is not ends[0]:
            yield f"{ending.request.run}: goes on after its end with {events[-1].action}"
        if [e.sequence for e in events] != list(range(len(events))):
            yield f"{ending.request.run}: its events are not numbered without gaps"
        limit = ending.request.deadline_s or 120.0
        if not ending.request.stream and ending.took_s > limit + 1.0:
            yield f"{ending.request.run}: took {ending.took_s:.1f} s of {limit} s"


def _permits(history: History) -> Iterator[str]:
    by_id = {e.id: e for e in history.endpoints}
    requests = {ending.request.run: ending.request for ending in history.endings}
    for run, events in history.events.items():
        for event in events:
            if event.action is Act.ATTEMPT_STARTED:
                reason = forbidden(by_id[event.data["endpoint"]], requests[run], history)
                if reason is not None:
                    yield f"{run}: attempt at `{event.data['endpoint']}` although `{reason}` forbids it"
    started = sum(e.action is Act.ATTEMPT_STARTED for events in history.events.values() for e in events)
    if len(history.sent) > started + sum(_probes(events) for events in history.events.values()):
        yield f"{len(history.sent)} calls left, only {started} attempts are in the journal"


def _probes(events: list[Event]) -> int:
    return sum(e.action is Act.ENDPOINT_CHANGED for e in events)


def _budgets(history: History) -> Iterator[str]:
    for ending in history.endings:
        limit = ending.request.budget_usd
        if limit is None:
            continue
        events = history.events[ending.request.run]
        costs = [e.data.get("cost_usd") for e in events if e.action in (Act.ATTEMPT_SUCCEEDED, Act.ATTEMPT_FAILED)]
        spent = sum((Decimal(str(c)) for c in costs if c is not None), Decimal(0))
        if spent > limit:
            yield f"{ending.request.run}: spent {spent} USD of {limit} USD"


def _attempts(history: History) -> Iterator[str]:
    closing = (Act.ATTEMPT_SUCCEEDED, Act.ATTEMPT_FAILED)
    for run, events in history.events.items():
        opened = [(e.step, e.attempt) for e in events if e.action is Act.ATTEMPT_STARTED]
        closed = [(e.step, e.attempt) for e in events if e.action in closing]
        cancelled = events[-1].action is not Act.RUN_FINISHED
        if len(set(opened)) != len(opened):
            yield f"{run}: an attempt was started twice"
        if not set(closed) <= set(opened) or (not cancelled and set(closed) != set(opened)):
            yield f"{run}: attempts opened {opened}, closed {closed}"


def _streams(history: History) -> Iterator[str]:
    for ending in history.endings:
        if ending.how == "lost" and ending.finished_cleanly:
            yield f"{ending.request.run}: its stream was lost and looked finished"
        if ending.how == "answered" and ending.request.stream and not ending.finished_cleanly:
            yield f"{ending.request.run}: its stream ended without saying why"
        if ending.how == "refused" and ending.error == "internal_error":
            yield f"{ending.request.run}: an error of ours reached the client"


def _leftovers(history: History) -> Iterator[str]:
    if history.left_open:
        yield f"{history.left_open} connections are still open"
    busy = {name: n for name, n in history.pool_busy.items() if n}
    if busy:
        yield f"seats are still taken: {orjson.dumps(busy).decode()}"
