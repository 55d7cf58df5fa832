"""Small fakes that several suites share: endpoints, a record that keeps its events, a clock that stands still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shoal.core.endpoint import Endpoint, Model
from shoal.core.event import Act
from shoal.core.identity import new_run
from shoal.core.item import Answer, Choice, Finish, Speaker, Usage, say
from shoal.core.money import Price
from shoal.core.request import Prompt, Request


def endpoint(name: str = "acme/one", country: str | None = "KR", **facts: Any) -> Endpoint:
    """Return an endpoint all of whose country facts are `country`."""
    provider, native = name.split("/", 1)
    model = facts.pop("model", None) or Model(
        id=f"{provider}-labs/{native}", developer=f"{provider}-labs", developer_country=country, open_weights=True
    )
    base: dict[str, Any] = {
        "host_country": country,
        "operator": provider,
        "operator_country": country,
        "price": Price(Decimal(1), Decimal(2)),
        "attested": "operator",
    }
    return Endpoint(
        id=name,
        provider=provider.split("@")[0],
        native_name=native,
        model=model,
        base_url="http://127.0.0.1:9/v1",
        **(base | facts),
    )


def request(text: str = "hello", model: str = "shoal", **fields: Any) -> Request:
    """Return a request of one user message."""
    return Request(run=new_run(), model=model, prompt=Prompt((say(text),)), **fields)


def answer(text: str) -> Answer:
    """Return a whole answer of one choice."""
    return Answer((Choice(0, (say(text, Speaker.ASSISTANT),), Finish.STOP),), Usage(3, 2))


@dataclass
class Notes:
    """A record that keeps what it is told."""

    events: list[tuple[Act, str | None, Mapping[str, Any]]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    def event(
        self, action: Act, data: Mapping[str, Any] | None = None, *, step: str | None = None, attempt: int | None = None
    ) -> None:
        self.events.append((action, step, data or {}))

    def body(self, value: Any) -> str:
        self.bodies.append(value)
        return f"body-{len(self.bodies)}"

    def acts(self) -> list[Act]:
        return [action for action, _, _ in self.events]


class Still:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
