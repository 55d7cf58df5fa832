"""The gateway answers every path and method in one shape, and keeps runs to their owners."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from fake_gateway import OWNED, FakeAnswering, FakeRuns, Ready, gateway
from shoal.gateway.app import Gateway
from shoal.gateway.guard import Guard


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> Any:
        return self.value["error"]


def call(
    app: Gateway,
    path: str,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    query: bytes = b"",
    stay_s: float = 60,
) -> Reply | None:
    """Send one request through the ASGI door; None where no reply came."""
    sent: list[MutableMapping[str, Any]] = []

    async def main() -> None:
        given = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.sleep(stay_s)
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        pairs = [(b"host", b"localhost")]
        pairs += [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        await app(
            {"type": "http", "method": method, "path": path, "query_string": query, "headers": pairs}, receive, send
        )

    asyncio.run(main())
    if not sent:
        return None
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]))


def asked(app: Gateway, ask: str, *, stream: bool = False, **more: Any) -> Reply:
    """Ask one chat question."""
    reply = call(app, "/v1/chat/completions", "POST", orjson.dumps({"ask": ask, "stream": stream}), **more)
    assert reply is not None
    return reply


def got(app: Gateway, path: str, **more: Any) -> Reply:
    """Get one path."""
    reply = call(app, path, **more)
    assert reply is not None
    return reply


def test_a_whole_answer_carries_the_headers_about_its_run() -> None:
    reply = asked(gateway(), "hello")
    assert (reply.status, reply.value["text"]) == (200, "hello")
    assert reply.headers["x-shoal-run"].startswith("run_")
    assert reply.headers["x-shoal-mode"] == "direct"
    assert reply.headers["x-shoal-served-by"] == "acme/one"
    assert reply.headers["x-shoal-policy"] == "p1"
    assert int(reply.headers["content-length"]) == len(reply.body)


def test_a_stream_ends_with_done() -> None:
    reply = asked(gateway(), "hello", stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-shoal-served-by"] == "acme/one"
    assert reply.body == b"data: <0>\n\ndata: <1>\n\ndata: <2>\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("ask", "status"), [("forbidden", 403), ("poor", 429), ("bug", 500)])
def test_an_error_before_the_first_byte_keeps_its_status(ask: str, status: int, stream: bool) -> None:
    reply = asked(gateway(), ask, stream=stream)
    assert reply.status == status
    assert reply.headers["x-shoal-run"] == reply.error["shoal"]["run"]


def test_a_spent_budget_is_not_to_be_retried() -> None:
    assert asked(gateway(), "poor").headers["x-should-retry"] == "false"


def test_a_lost_stream_says_so_and_never_done() -> None:
    reply = asked(gateway(), "lost", stream=True)
    events = reply.body.strip().split(b"\n\n")
    assert orjson.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "stream_lost"
    assert b"[DONE]" not in reply.body


@pytest.mark.parametrize(("ask", "stream"), [("bug", False), ("bug", True), ("bug-later", True)])
def test_a_mistake_of_ours_shows_no_content(ask: str, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    reply = asked(gateway(), ask, stream=stream)
    assert b"internal_error" in reply.body
    assert b"secret" not in reply.body
    line = orjson.loads(next(r for r in caplog.messages if "unexpected" in r))
    assert line["type"] == "KeyError" and line["run"] == reply.headers["x-shoal-run"]
    assert "secret" not in caplog.text


def test_a_quiet_stream_begins_with_heartbeats_and_then_fails_inside() -> None:
    class Late(FakeAnswering):
        pass

    reply = asked(gateway(Late(), heartbeat_s=0.03), "wait 0.1", stream=True)
    assert reply.body.startswith(b": shoal\n\n")
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert reply.headers["x-shoal-run"].startswith("run_")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_run_and_gets_nothing(stream: bool) -> None:
    answering = FakeAnswering()
    app = gateway(answering)
    reply = call(app, "/v1/chat/completions", "POST", orjson.dumps({"ask": "hang", "stream": stream}), stay_s=0.02)
    assert reply is None
    assert len(answering.cancelled) == 1
    assert app.chat.in_flight == 0


def test_header_injection_is_impossible() -> None:
    answering = FakeAnswering()
    answering.served_by = "acme/모델\r\nx-evil: 1"
    reply = asked(gateway(answering), "hello")
    assert reply.headers["x-shoal-served-by"] == "acme/????x-evil: 1"


def test_models_are_listed_and_shown_one_by_one() -> None:
    listed = got(gateway(), "/v1/models").value
    assert [m["id"] for m in listed["data"]] == ["shoal", "acme@seoul/one"]
    assert listed["data"][0]["object"] == "model"
    assert got(gateway(), "/v1/models/acme@seoul/one").value["owned_by"] == "acme-labs"
    missing = got(gateway(), "/v1/models/gpt-9\r\n")
    assert (missing.status, missing.error["code"]) == (404, "model_not_found")


def test_unknown_paths_and_wrong_methods_say_the_way_out() -> None:
    assert got(gateway(), "/v2/nothing").status == 404
    assert "/v1/chat/completions" in got(gateway(), "/chat/completions").error["message"]
    assert got(gateway(), "/v1/v1/models").status == 404
    wrong = got(gateway(), "/v1/chat/completions")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert got(gateway(), "/v1/models", method="DELETE").headers["allow"] == "GET, HEAD"
    assert got(gateway(), "/v1/models/").status == 200
    assert got(gateway(), f"/v1/runs/{OWNED}/feedback", method="POST").status == 404


def test_health_needs_no_key_and_readiness_gives_its_reason() -> None:
    ready = Ready()
    app = gateway(guard=Guard("0.0.0.0", keys=["k"]), readiness=ready)
    assert got(app, "/healthz").value == {"status": "ok"}
    assert got(app, "/readyz").status == 200
    ready.reason = "the journal cannot be written"
    assert got(app, "/readyz").status == 503
    assert got(app, "/readyz").value["reason"] == ready.reason
    assert got(app, "/v1/models").status == 401


def test_a_run_is_shown_to_its_owner_only() -> None:
    guard = Guard("0.0.0.0", keys=["mine", "other"])
    owner = guard.admit({b"authorization": b"Bearer mine"})
    app = gateway(guard=guard, runs=FakeRuns(owner))
    shown = got(app, f"/v1/runs/{OWNED}", headers={"authorization": "Bearer mine"})
    assert shown.value == {"run": OWNED, "steps": []}
    assert got(app, f"/v1/runs/{OWNED}", headers={"authorization": "Bearer other"}).status == 404
    assert got(app, f"/v1/runs/{OWNED}").status == 401
    mine = got(app, "/v1/runs", headers={"authorization": "Bearer mine"}).value["data"]
    assert [row["run"] for row in mine] == [OWNED]
    assert got(app, "/v1/runs", headers={"authorization": "Bearer other"}).value["data"] == []


def test_without_keys_anyone_local_sees_runs() -> None:
    assert got(gateway(), f"/v1/runs/{OWNED}").status == 200
    assert len(got(gateway(), "/v1/runs", query=b"limit=1").value["data"]) == 1
    assert got(gateway(), "/v1/runs/run_unknown").status == 404


@pytest.mark.parametrize("query", [b"limit=0", b"limit=x", b"limit=201", b"limit=-1", b"a=1&" * 40, b"limit=%ff"])
def test_a_wrong_limit_is_the_callers_mistake(query: bytes) -> None:
    assert got(gateway(), "/v1/runs", query=query).status == 400


def test_repeated_exclude_headers_all_count() -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b'{"ask":"x"}', "more_body": False}

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def stay() -> MutableMapping[str, Any]:
        message = await receive()
        if sent:
            await asyncio.sleep(60)
        return message

    pairs = [(b"host", b"localhost"), (b"x-shoal-exclude", b"host:US"), (b"x-shoal-exclude", b"host:CN")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": pairs}
    asyncio.run(gateway()(scope, stay, send))
    assert orjson.loads(sent[1]["body"])["model"] == "host:US,host:CN"


def test_an_exclude_header_is_read_as_utf_8_or_not_at_all() -> None:
    def with_exclude(value: bytes) -> Reply:
        reply = call(
            gateway(), "/v1/chat/completions", "POST", b'{"ask":"x"}', {"x-shoal-exclude": value.decode("latin-1")}
        )
        assert reply is not None
        return reply

    assert with_exclude("operator:회사*".encode()).value["model"] == "operator:회사*"
    assert with_exclude(b"operator:\xff").status == 400


def test_two_hosts_are_refused() -> None:
    assert got(gateway(), "/", headers={"host": "evil.com"}).status == 400


def test_too_many_requests_at_once_are_told_to_come_back() -> None:
    app = gateway(max_in_flight=0)
    reply = asked(app, "hello")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_an_error_before_the_body_is_read_ends_the_connection() -> None:
    reply = asked(gateway(guard=Guard("0.0.0.0", keys=["k"])), "hello")
    assert (reply.status, reply.headers["connection"]) == (401, "close")
    assert "connection" not in asked(gateway(), "forbidden").headers
