"""One door without a socket: routes, replies and what each fault does to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shoal.practice.connection import JSON, Call, Reply
from shoal.practice.door import Door
from shoal.practice.fault import Fault, Kind
from shoal.practice.inference import Inference
from shoal.practice.transformer import Piece


class Parrot:
    """Says the prompt again, character by character."""

    def count(self, prompt: str) -> int:
        return len(prompt)

    def generate(
        self, prompt: str, *, max_tokens: int, temperature: float, seed: int | None, logprobs: bool
    ) -> Iterator[Piece]:
        for i, character in enumerate(prompt[:max_tokens]):
            yield Piece(character, i, -0.5 if logprobs else None)
        if len(prompt) <= max_tokens:
            yield Piece("", 0, None, is_end=True)


@dataclass
class Written(Reply):
    """Keeps what a door writes."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    was_cut: bool = False
    started: bool = False
    ended: bool = False

    async def whole(self, status: int, body: object, headers: Mapping[str, str] = JSON) -> None:
        self.status, self.headers, self.started, self.ended = status, headers, True, True
        self.body = body if isinstance(body, bytes) else orjson.dumps(body)

    async def begin(self, status: int, headers: Mapping[str, str], *, length: int | None = None) -> None:
        self.status, self.headers, self.started = status, headers, True

    async def send(self, data: bytes) -> None:
        self.body += data

    async def send_raw(self, data: bytes) -> None:
        self.body += data

    async def finish(self) -> None:
        self.ended = True

    def cut(self) -> None:
        self.was_cut = self.ended = True


def ask(fault: Fault | None = None, path: str = "/v1/chat/completions", **more: Any) -> Written:
    async def main() -> Written:
        inference = Inference()
        door = Door("parrot", Parrot(), inference)
        if fault is not None:
            door.book.add(fault)
        body = {"model": "parrot", "messages": [{"role": "user", "content": "hello"}], **more}
        reply = Written()
        await door.handle(Call("POST", path, {}, orjson.dumps(body)), reply)
        inference.stop()
        assert door.working == 0
        return reply

    return asyncio.run(main())


def test_a_whole_answer_counts_its_tokens_and_says_why_it_ended() -> None:
    reply = orjson.loads(ask().body)
    assert reply["choices"][0]["message"]["content"] == "hello"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"] == {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    short = orjson.loads(ask(max_tokens=3).body)
    assert (short["choices"][0]["message"]["content"], short["choices"][0]["finish_reason"]) == ("hel", "length")


def test_tokens_after_a_stop_text_are_not_counted() -> None:
    reply = orjson.loads(ask(stop="l").body)
    assert reply["choices"][0]["message"]["content"] == "he"
    assert reply["usage"]["completion_tokens"] == 3


def test_every_choice_is_counted() -> None:
    assert orjson.loads(ask(n=3).body)["usage"]["completion_tokens"] == 15


def test_a_stream_opens_with_the_role_and_closes_with_done() -> None:
    lines = ask(stream=True).body.split(b"\n\n")
    first = orjson.loads(lines[0].removeprefix(b"data: "))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert lines[-2:] == [b"data: [DONE]", b""]
    assert "usage" not in first


def test_a_cut_stream_has_no_finish_even_when_cut_late() -> None:
    reply = ask(Fault(Kind.CUT), stream=True)
    assert reply.was_cut
    assert b'"content":"h"' in reply.body
    assert b"[DONE]" not in reply.body and b'"finish_reason":"' not in reply.body


def test_garbage_has_status_200_and_no_meaning() -> None:
    reply = ask(Fault(Kind.GARBAGE))
    assert reply.status == 200 and reply.ended
    try:
        orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return
    raise AssertionError("garbage was JSON")


def test_rate_limits_carry_retry_after() -> None:
    reply = ask(Fault(Kind.RATE, seconds=2))
    assert (reply.status, reply.headers["retry-after"]) == (429, "2")


def test_a_malformed_request_uses_no_fault_up() -> None:
    assert ask(Fault(Kind.ERROR), n=0).status == 400


def test_unknown_paths_are_not_found() -> None:
    assert ask(path="/v2").status == 404
