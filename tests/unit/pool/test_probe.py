"""A probe asks for the list of models and nothing else, and turns whatever comes back into a plain row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from shoal.catalogue.endpoints import SPOKEN, Builder
from shoal.catalogue.loader import load_facts
from shoal.core.endpoint import Endpoint, Limits, Model
from shoal.core.errors import UpstreamError
from shoal.pool.probe import Reached, reach
from shoal.pool.transport import Response
from shoal.wire.outgoing import Outgoing

ACME = Endpoint("acme/one", "acme", "one", Model("acme/one", "Acme"), "https://acme.example/v1/")


class Head:
    """A reply of one status and no body."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self.is_closed = False

    async def read(self) -> bytes:
        return b""

    async def close(self) -> None:
        self.is_closed = True


class Line:
    """A transport that answers with a status, an error, or never."""

    def __init__(self, status: int | None = 200, error: UpstreamError | None = None) -> None:
        self.sent: list[Outgoing] = []
        self.head = Head(status or 0)
        self.is_silent = status is None
        self.error = error

    async def send(self, outgoing: Outgoing, limits: Limits) -> Response:
        self.sent.append(outgoing)
        if self.error is not None:
            raise self.error
        if self.is_silent:
            await asyncio.Event().wait()
        return self.head


def probe(line: Line, endpoint: Endpoint = ACME, key: str | None = "k", limit_s: float = 1.0) -> Reached:
    return asyncio.run(reach(line, endpoint, key, limit_s=limit_s))


def test_it_asks_for_the_models_with_the_key_and_without_a_body() -> None:
    line = Line()
    assert probe(line).key == "taken"
    (call,) = line.sent
    assert (call.method, call.url, call.body) == ("GET", "https://acme.example/v1/models", b"")
    assert call.headers["authorization"] == "Bearer k" and "content-type" not in call.headers
    assert line.head.is_closed


@pytest.mark.parametrize(("status", "key"), [(200, "taken"), (401, "refused"), (403, "refused"), (404, "unsaid")])
def test_any_status_is_an_address_that_is_reached(status: int, key: str) -> None:
    found = probe(Line(status))
    assert found.is_reached and found.key == key


def test_who_is_not_there_is_told_in_our_words() -> None:
    found = probe(Line(error=UpstreamError("the endpoint refused the connection", sent=False)))
    assert (found.status, found.error) == (None, "the endpoint refused the connection")
    silent = probe(Line(None), limit_s=0.05)
    assert not silent.is_reached and silent.error is not None and silent.latency_s < 2


def test_a_key_that_cannot_be_sent_is_told_and_nothing_leaves() -> None:
    line = Line()
    assert "spaces or control characters" in (probe(line, key="a b").error or "")
    assert not line.sent


def test_every_endpoint_of_the_catalogue_can_be_probed() -> None:
    line = Line()
    endpoints = [e for e in Builder(load_facts()).everything() if e.dialect in SPOKEN and e.base_url]

    async def main() -> list[Reached]:
        return [await reach(line, endpoint, "key") for endpoint in endpoints]

    found = asyncio.run(main())
    blank = [f.error for f in found if not f.is_reached]
    assert all(error and "has a place to fill in" in error for error in blank) and len(blank) < len(found) / 10
    assert len(line.sent) > 100
