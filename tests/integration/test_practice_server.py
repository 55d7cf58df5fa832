"""The practice pool as its clients see it: a process, real sockets, and faults that really happen."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from click.testing import CliRunner

from shoal.cli.main import Shared
from shoal.cli.practice import command
from shoal.core.errors import CallerError, SetupError
from shoal.practice import roster
from shoal.practice.control import FILE, Control, Notice
from shoal.practice.process import PracticePool
from tiny_model import random_model, write_models

NAMES = ("ada", "bob", "cyd")


@dataclass(frozen=True)
class Pool:
    """A running pool of three random models."""

    state: Path
    process: subprocess.Popen[bytes]
    ports: dict[str, int]
    control: Control

    def ask(self, name: str = "ada", **more: Any) -> tuple[int, dict[str, str], Any]:
        body = {"model": name, "messages": [{"role": "user", "content": "12 + 3?"}], **more}
        return self.post(name, json.dumps(body).encode())

    def post(self, name: str, body: bytes, path: str = "/v1/chat/completions") -> tuple[int, dict[str, str], Any]:
        return self.call(name, "POST", path, body)

    def call(self, name: str, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], Any]:
        link = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=10)
        try:
            link.request(method, path, body)
            response = link.getresponse()
            return response.status, dict(response.headers), json.loads(response.read())
        finally:
            link.close()

    def events(self, name: str = "ada", **more: Any) -> Iterator[bytes]:
        """Yield the lines of a streamed reply as they come."""
        body = {"model": name, "messages": [{"role": "user", "content": "12 + 3?"}], "stream": True, **more}
        link = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=10)
        try:
            link.request("POST", "/v1/chat/completions", json.dumps(body))
            response = link.getresponse()
            assert response.status == 200
            while line := response.readline():
                yield line
        finally:
            link.close()


def start(state: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    command = [sys.executable, "-m", "shoal.practice", "--state", str(state), "--watch-stdin", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.wait(5)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    state = tmp_path_factory.mktemp("pool")
    write_models(state, *NAMES)
    process, ready = start(state, "--weights", str(state), *(word for name in NAMES for word in ("--model", name)))
    try:
        yield Pool(state, process, ready["models"], Control.of(state))
    finally:
        close(process)


@pytest.fixture
def pool(running: Pool) -> Iterator[Pool]:
    """Give the pool with no fault left by another test, and every port open."""
    running.control.clear()
    for name in NAMES:
        running.control.revive(name)
    yield running


def said(lines: list[bytes]) -> str:
    """Join the content of streamed events."""
    events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    return "".join(c["delta"].get("content", "") for event in events for c in event["choices"])


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


# Answers


def test_the_answer_over_http_is_what_the_weights_say(pool: Pool) -> None:
    status, _, reply = pool.ask(max_tokens=12)
    pieces = [piece for piece in random_model("ada", seed=0).generate("12 + 3?", max_tokens=12) if not piece.is_end]
    assert status == 200
    assert reply["choices"][0]["message"]["content"] == "".join(piece.text for piece in pieces)
    assert reply["usage"]["completion_tokens"] == len(pieces)
    assert reply["usage"]["prompt_tokens"] == random_model("ada").count("12 + 3?")


def test_a_streamed_answer_says_the_same_as_a_whole_one_and_ends_with_usage(pool: Pool) -> None:
    _, _, whole = pool.ask(max_tokens=9)
    lines = list(pool.events(max_tokens=9, stream_options={"include_usage": True}))
    assert said(lines) == whole["choices"][0]["message"]["content"]
    data = [line for line in lines if line.startswith(b"data: ")]
    assert data[-1] == b"data: [DONE]\n"
    assert json.loads(data[-2][6:])["usage"] == whole["usage"]
    assert json.loads(data[-3][6:])["choices"][0]["finish_reason"] == "length"


def test_n_temperature_and_seed_give_repeatable_different_choices(pool: Pool) -> None:
    asked: dict[str, Any] = {"n": 3, "temperature": 1.5, "seed": 7, "max_tokens": 10}
    texts = [[c["message"]["content"] for c in pool.ask(**asked)[2]["choices"]] for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1
    streamed = list(pool.events(**asked))
    assert said(streamed) == "".join(texts[0])


def test_stop_ends_the_answer_before_the_stop_text(pool: Pool) -> None:
    text = pool.ask(max_tokens=20)[2]["choices"][0]["message"]["content"]
    reply = pool.ask(max_tokens=20, stop=[text[5:7]])[2]
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["choices"][0]["message"]["content"] == text[: text.index(text[5:7])]
    assert said(list(pool.events(max_tokens=20, stop=text[5:7]))) == text[: text.index(text[5:7])]


def test_logprobs_come_one_a_token(pool: Pool) -> None:
    reply = pool.ask(max_tokens=6, logprobs=True, top_logprobs=2)[2]
    entries = reply["choices"][0]["logprobs"]["content"]
    assert len(entries) == reply["usage"]["completion_tokens"] == 6
    assert "".join(entry["token"] for entry in entries) == reply["choices"][0]["message"]["content"]
    assert all(entry["logprob"] <= 0 and len(entry["top_logprobs"]) == 1 for entry in entries)


def test_only_the_last_user_message_counts(pool: Pool) -> None:
    turns = [
        {"role": "system", "content": "answer in verse"},
        {"role": "user", "content": "something else"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "12 + "}, {"type": "text", "text": "3?"}]},
    ]
    assert pool.ask(messages=turns)[2]["choices"] == pool.ask()[2]["choices"]


def test_models_and_health_are_told(pool: Pool) -> None:
    assert pool.call("bob", "GET", "/v1/models")[2]["data"][0]["id"] == "bob"
    assert pool.call("bob", "GET", "/v1/models/bob")[2]["object"] == "model"
    assert pool.call("bob", "GET", "/healthz")[2] == {"status": "ok", "model": "bob"}


def test_the_openai_client_works_against_it(pool: Pool) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{pool.ports['ada']}/v1", api_key="none", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "12 + 3?"}]
        whole = client.chat.completions.create(model="ada", messages=messages, max_tokens=8)
        with client.chat.completions.create(model="ada", messages=messages, max_tokens=8, stream=True) as stream:
            parts = [c.delta.content or "" for event in stream for c in event.choices]
        assert "".join(parts) == whole.choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="bob", messages=messages)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"model": "ada"}', 400),
        (b'{"model": "bob", "messages": [{"role": "user", "content": "1"}]}', 404),
        (b'{"model": "ada", "messages": [{"role": "user", "content": "1"}], "temperature": NaN}', 400),
        (b'{"model": "ada", "messages": [{"role": "user", "content": "\xff"}]}', 400),
        (b'{"model": "ada", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b'{"model": "ada", "messages": [{"role": "user", "content": "1"}], "n": -1}', 400),
        (b'{"model": "ada", "messages": [{"role": "user", "content": "1"}], "max_tokens": 1e999}', 400),
        (b'{"model": "ada", "messages": [{"role": "user", "content": "1"}], "tools": [{"type": "function"}]}', 400),
        (b"[" * 100_000, 400),
    ],
)
def test_malformed_requests_get_an_openai_shaped_refusal(pool: Pool, body: bytes, status: int) -> None:
    got, _, reply = pool.post("ada", body)
    assert got == status
    assert reply["error"]["message"] and reply["error"]["type"] == "invalid_request_error"


def test_unknown_paths_and_methods_are_refused(pool: Pool) -> None:
    assert pool.call("ada", "GET", "/v1/nothing")[0] == 404
    assert pool.call("ada", "GET", "/v1/chat/completions")[0] == 405
    assert pool.post("ada", b"x" * 9_000_000)[0] == 413


def test_what_is_no_http_gets_a_400_and_the_door(pool: Pool) -> None:
    with socket.create_connection(("127.0.0.1", pool.ports["ada"]), timeout=5) as link:
        link.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 400")


# Faults


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("429", 429, "rate_limit_exceeded"),
        ("500", 500, None),
        ("403", 403, "unsupported_country_region_territory"),
        ("451", 451, "unavailable_for_legal_reasons"),
    ],
)
def test_refusals_strike_after_k_requests_and_n_times(pool: Pool, kind: str, status: int, code: str | None) -> None:
    pool.control.fault("ada", kind, times=2, after=1, seconds=3)
    replies = [pool.ask() for _ in range(4)]
    assert [reply[0] for reply in replies] == [200, status, status, 200]
    assert replies[1][2]["error"]["code"] == code
    assert replies[1][1].get("retry-after") == ("3" if kind == "429" else None)
    assert pool.ask("bob")[0] == 200


def test_a_fault_without_a_number_of_times_lasts_until_cleared(pool: Pool) -> None:
    pool.control.fault("practice/ada", "500", times=0)
    assert {pool.ask()[0] for _ in range(5)} == {500}
    pool.control.clear("ada")
    assert pool.ask()[0] == 200


def test_a_hanging_request_is_taken_and_never_answered(pool: Pool) -> None:
    pool.control.fault("ada", "hang")
    with socket.create_connection(("127.0.0.1", pool.ports["ada"]), timeout=0.4) as link:
        body = b'{"model": "ada", "messages": [{"role": "user", "content": "1"}]}'
        link.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        with pytest.raises(TimeoutError):
            link.recv(1)
        assert pool.ask()[0] == 200
        assert next(row for row in pool.control.list() if row["model"] == "ada")["working"] == 1
    assert eventually(lambda: pool.control.list()[0]["working"] == 0)


def test_slow_tokens_come_with_pauses(pool: Pool) -> None:
    pool.control.fault("ada", "slow", seconds=0.1, times=2)
    before = time.monotonic()
    assert pool.ask(max_tokens=4)[0] == 200
    assert time.monotonic() - before >= 0.4
    before = time.monotonic()
    lines = pool.events(max_tokens=20)
    next(lines)
    assert time.monotonic() - before < 1.5, "the first token does not wait for the last"
    lines.close()  # type: ignore[attr-defined]


def test_a_cut_reply_is_shorter_than_it_promised(pool: Pool) -> None:
    pool.control.fault("ada", "cut")
    with pytest.raises(http.client.IncompleteRead):
        pool.ask()
    assert pool.ask()[0] == 200


def test_a_cut_stream_has_content_and_no_end(pool: Pool) -> None:
    async def read() -> bytes:
        got = b""
        url = f"http://127.0.0.1:{pool.ports['ada']}/v1/chat/completions"
        body = {"model": "ada", "messages": [{"role": "user", "content": "12 + 3?"}], "stream": True}
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                async for data in response.content.iter_any():
                    got += data
        return got

    pool.control.fault("ada", "cut")
    got = asyncio.run(read())
    assert said(got.splitlines()) != ""
    assert b'"finish_reason":"' not in got and b"[DONE]" not in got


@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_neither_json_nor_events(pool: Pool, stream: bool) -> None:
    pool.control.fault("ada", "garbage")
    with pytest.raises(ValueError):
        pool.ask(stream=stream)
    assert pool.ask()[0] == 200


def test_a_killed_model_refuses_connections_until_revived_on_the_same_port(pool: Pool) -> None:
    port = pool.ports["ada"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as idle:
        row = pool.control.kill("ada")
        assert row["open"] is False
        with pytest.raises(ConnectionResetError):
            idle.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            if idle.recv(1) == b"":
                raise ConnectionResetError
    with pytest.raises(ConnectionRefusedError):
        pool.ask("ada")
    assert pool.ask("bob")[0] == 200
    assert pool.control.revive("ada")["port"] == port
    assert pool.ask("ada")[0] == 200


def test_a_kill_after_k_requests_takes_the_next_one_with_it(pool: Pool) -> None:
    pool.control.fault("cyd", "kill", after=1)
    assert pool.ask("cyd")[0] == 200
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        pool.ask("cyd")
    with pytest.raises(ConnectionRefusedError):
        pool.ask("cyd")


def test_orders_that_cannot_be_followed_say_why(pool: Pool) -> None:
    with pytest.raises(CallerError, match="no practice model `eve`; there are ada, bob, cyd"):
        pool.control.fault("eve", "500")
    with pytest.raises(CallerError, match="`flood` is no kind of fault"):
        pool.control.fault("ada", "flood")
    with pytest.raises(CallerError, match="`times` is a whole number"):
        pool.control.fault("ada", "500", times=-1)
    notice = pool.control.notice
    stranger = Control(Notice(notice.pid, notice.control, "wrong", notice.models), pool.state)
    with pytest.raises(CallerError, match="token"):
        stranger.list()


# Load


def test_five_hundred_clients_at_once_are_all_answered_while_control_stays_quick(pool: Pool) -> None:
    async def one(session: aiohttp.ClientSession, i: int) -> str:
        name = NAMES[i % 2]
        body = {"model": name, "messages": [{"role": "user", "content": f"{i} + 1?"}], "max_tokens": 5}
        async with session.post(f"http://127.0.0.1:{pool.ports[name]}/v1/chat/completions", json=body) as response:
            assert response.status == 200
            return str((await response.json())["choices"][0]["message"]["content"])

    async def main() -> tuple[list[str], float]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            asked = asyncio.gather(*(one(session, i) for i in range(500)))
            await asyncio.sleep(0.3)
            before = time.monotonic()
            await asyncio.to_thread(pool.control.list)
            waited = time.monotonic() - before
            return await asked, waited

    texts, waited = asyncio.run(main())
    models = [random_model(name, seed=seed) for seed, name in enumerate(NAMES[:2])]
    for i in range(0, 500, 50):
        pieces = models[i % 2].generate(f"{i} + 1?", max_tokens=5)
        assert texts[i] == "".join(piece.text for piece in pieces)
    assert waited < 2.0


def test_a_client_that_leaves_is_not_worked_for(pool: Pool) -> None:
    pool.control.fault("ada", "slow", seconds=0.2, times=0)
    lines = pool.events(max_tokens=40)
    next(lines)
    assert pool.control.list()[0]["working"] == 1
    lines.close()  # type: ignore[attr-defined]
    assert eventually(lambda: pool.control.list()[0]["working"] == 0)


# Process


def test_serving_knows_neither_number_words_nor_questions(pool: Pool) -> None:
    pool.ask()
    loaded = pool.control.modules()
    assert "shoal.practice.transformer" in loaded
    cheats = {"shoal.practice.numerals", "shoal.practice.questions", "shoal.practice.splits", "num2words"}
    assert not loaded & cheats
    assert not {name for name in loaded if name.startswith("shoal.coordinator")}


def test_the_notice_is_for_its_owner_only(pool: Pool) -> None:
    assert stat.S_IMODE((pool.state / FILE).stat().st_mode) == 0o600
    assert Notice.read(pool.state).models == pool.ports


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_pool_runs_for_the_length_of_its_block(tmp_path: Path) -> None:
    write_models(tmp_path, "one", "two")

    async def main() -> tuple[int, float]:
        async with PracticePool.start(tmp_path, ["one", "two"], weights=tmp_path) as pool:
            assert set(pool.ports) == {"one", "two"}
            async with aiohttp.ClientSession() as session, session.get(f"{pool.base_url('two')}/models") as response:
                assert (await response.json())["data"][0]["id"] == "two"
            before = time.monotonic()
        return pool.pid, time.monotonic() - before

    pid, seconds = asyncio.run(main())
    assert not alive(pid)
    assert seconds < 2.0
    assert not (tmp_path / FILE).exists()
    with pytest.raises(SetupError, match="no practice pool runs"):
        Control.of(tmp_path)


def test_a_pool_without_a_state_directory_keeps_to_itself(pool: Pool, tmp_path: Path) -> None:
    write_models(tmp_path, "one")

    async def main() -> Path:
        async with PracticePool.start(None, ["one"], weights=tmp_path) as private:
            assert [row["model"] for row in private.control.list()] == ["one"]
            return private.state

    assert not asyncio.run(main()).exists()
    assert Notice.read(pool.state).models == pool.ports


def test_the_command_line_breaks_and_mends_a_running_pool(pool: Pool) -> None:
    def run(*words: str) -> dict[str, Any]:
        shared = Shared(config=None, state=pool.state, url=None)
        result = CliRunner().invoke(command, [*words, "--json"], obj=shared, catch_exceptions=False)
        return json.loads(result.output)  # type: ignore[no-any-return]

    assert run("fault", "ada", "451", "--times", "2", "--after", "1")["models"][0]["faults"][0]["after"] == 1
    assert [pool.ask()[0] for _ in range(2)] == [200, 451]
    assert run("clear")["models"][0]["faults"] == []
    assert run("fault", "ada", "kill")["models"][0]["open"] is False
    assert run("revive", "ada")["models"][0]["open"] is True
    assert pool.ask()[0] == 200


def test_a_pool_without_weights_says_which_file_is_missing(tmp_path: Path) -> None:
    async def main() -> None:
        async with PracticePool.start(tmp_path, ["none"], weights=tmp_path):
            raise AssertionError("it came up")

    with pytest.raises(SetupError, match="none.npz"):
        asyncio.run(main())


def test_no_process_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    write_models(tmp_path, "one")
    parent = f"""
import asyncio, pathlib
from shoal.practice.process import PracticePool
async def main():
    state = pathlib.Path({str(tmp_path)!r})
    async with PracticePool.start(state, ["one"], weights=state) as pool:
        print(pool.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(pid))
    assert eventually(lambda: not (tmp_path / FILE).exists())


def test_sigterm_ends_a_busy_pool_within_two_seconds(tmp_path: Path) -> None:
    write_models(tmp_path, "one")
    process, ready = start(tmp_path, "--weights", str(tmp_path), "--model", "one")
    with socket.create_connection(("127.0.0.1", ready["models"]["one"])) as link:
        Control.of(tmp_path).fault("one", "hang")
        body = b'{"model": "one", "messages": [{"role": "user", "content": "1"}]}'
        link.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        time.sleep(0.1)
        before = time.monotonic()
        process.terminate()
        assert process.wait(5) == 0
        assert time.monotonic() - before < 2.0
    close(process)


def test_the_roster_is_ready_quickly_and_serves_without_cheating(tmp_path: Path) -> None:
    before = time.monotonic()
    process, ready = start(tmp_path)
    seconds = time.monotonic() - before
    try:
        assert set(ready["models"]) == {row.id for row in roster.members().values() if row.weights_path().is_file()}
        cheats = {"shoal.practice.numerals", "shoal.practice.questions", "num2words"}
        assert not Control.of(tmp_path).modules() & cheats
        assert seconds < 5.0, "1.2 s on a calm machine"
    finally:
        close(process)
