"""Door: one practice model behind its own port, speaking chat completions, and misbehaving when told to.

Knows routes, replies whole and streamed, token counts, and what each fault does to a reply. Knows no other model, no
control port and no process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol
from uuid import uuid4

import orjson

from shoal.practice import chat
from shoal.practice.chat import Ask, BadAsk
from shoal.practice.connection import Call, Port, Reply
from shoal.practice.fault import Fault, FaultBook, Kind, refusal
from shoal.practice.inference import Inference, QueueFull

MAX_HANG_S = 600.0
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
DONE = b"data: [DONE]\n\n"


class Token(Protocol):
    """One piece of an answer, as a model gives it."""

    @property
    def text(self) -> str:
        """The text of the piece."""

    @property
    def logprob(self) -> float | None:
        """How likely the model held it."""

    @property
    def is_end(self) -> bool:
        """Whether the model says that it has finished."""


class Speaker(Protocol):
    """A model that can be asked."""

    def count(self, prompt: str) -> int:
        """Count the tokens of a prompt."""

    def generate(
        self, prompt: str, *, max_tokens: int, temperature: float, seed: int | None, logprobs: bool
    ) -> Iterator[Token]:
        """Stream an answer."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one more token adds to an answer; `finish` is set on the last."""

    text: str
    tokens: tuple[Token, ...] = ()
    finish: str | None = None


class Door:
    """The address of one model."""

    def __init__(self, name: str, model: Speaker, inference: Inference, *, owner: str = "practice") -> None:
        self.name = name
        self.port = Port(self.handle)
        self.book = FaultBook()
        self.requests = 0
        self.working = 0
        self._model = model
        self._inference = inference
        self._owner = owner

    async def handle(self, call: Call, reply: Reply) -> None:
        """Answer one request."""
        if call.path == "/v1/chat/completions":
            if call.method != "POST":
                return await _refuse(reply, BadAsk("use POST here", status=405))
            return await self._chat(call, reply)
        if call.method not in ("GET", "HEAD"):
            return await _refuse(reply, BadAsk(f"there is no {call.method} `{call.path}`", status=404))
        row = {"id": self.name, "object": "model", "created": 0, "owned_by": self._owner}
        match call.path:
            case "/healthz":
                await reply.whole(200, {"status": "ok", "model": self.name})
            case "/v1/models":
                await reply.whole(200, {"object": "list", "data": [row]})
            case path if path == f"/v1/models/{self.name}":
                await reply.whole(200, row)
            case path:
                await _refuse(reply, BadAsk(f"there is nothing at `{path}`; try /v1/chat/completions", status=404))

    async def _chat(self, call: Call, reply: Reply) -> None:
        try:
            ask = chat.parse(call.json(), self.name)
        except BadAsk as bad:
            return await _refuse(reply, bad)
        except ValueError as error:
            return await _refuse(reply, BadAsk(f"the body is not JSON: {error}"))
        self.requests += 1
        fault = self.book.take()
        self.working += 1
        try:
            if fault is not None and await self._struck(fault, ask, reply):
                return
            await self._answer(ask, reply, fault)
        except QueueFull:
            body = {"error": {"message": "the engine is overloaded", "type": "server_error", "code": "overloaded"}}
            await reply.whole(503, body, {"content-type": "application/json", "retry-after": "1"})
        finally:
            self.working -= 1

    async def _struck(self, fault: Fault, ask: Ask, reply: Reply) -> bool:
        """Do what a fault does instead of an answer; False where the answer itself is what it spoils."""
        plain = refusal(fault, self.name)
        if plain is not None:
            status, body, headers = plain
            await reply.whole(status, body, {"content-type": "application/json", **headers})
            return True
        match fault.kind:
            case Kind.HANG:
                await asyncio.sleep(MAX_HANG_S)
                reply.cut()
                return True
            case Kind.KILL:
                self.port.close()
                return True
            case Kind.GARBAGE:
                await reply.begin(200, EVENTS if ask.stream else {"content-type": "application/json"})
                await reply.send(b"\xff\xfe<" + Random(self.requests).randbytes(200) + b"{]")
                await reply.finish()
                return True
        return False

    async def _answer(self, ask: Ask, reply: Reply, fault: Fault | None) -> None:
        pause = fault.seconds if fault is not None and fault.kind is Kind.SLOW else 0.0
        is_cut = fault is not None and fault.kind is Kind.CUT
        head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": self.name}
        head = {**head, "system_fingerprint": "practice"}
        if ask.stream:
            await self._stream(ask, reply, head, pause, is_cut)
            return
        choices, written = [], 0
        for index in range(ask.n):
            said = [part async for part in self._speak(ask, index, pause)]
            choices.append(_choice(ask, index, said))
            written += sum(len(part.tokens) for part in said)
        body = orjson.dumps(chat.completion(head, choices, chat.usage(self._model.count(ask.text), written)))
        if not is_cut:
            await reply.whole(200, body)
            return
        await reply.begin(200, {"content-type": "application/json"}, length=len(body))
        await reply.send_raw(body[: len(body) // 2])
        reply.cut()

    async def _stream(self, ask: Ask, reply: Reply, head: Mapping[str, Any], pause: float, is_cut: bool) -> None:
        written = 0
        none_yet = {"usage": None} if ask.include_usage else {}
        for index in range(ask.n):
            first = True
            async with aclosing(self._speak(ask, index, pause)) as parts:
                async for part in parts:
                    if not reply.started:
                        await reply.begin(200, EVENTS)
                    events = [chat.chunk(head, index, {"role": "assistant", "content": ""})] if first else []
                    first = False
                    written += len(part.tokens)
                    entries = _entries(ask, part.tokens)
                    if part.text or entries:
                        events.append(chat.chunk(head, index, {"content": part.text}, logprobs=entries))
                    cut_here = is_cut and (bool(part.text) or part.finish is not None)
                    if part.finish is not None and not cut_here:
                        events.append(chat.chunk(head, index, {}, finish=part.finish))
                    await reply.send(b"".join(_event({**event, **none_yet}) for event in events))
                    if cut_here:
                        return reply.cut()
        last = b""
        if ask.include_usage:
            counts = chat.usage(self._model.count(ask.text), written)
            last = _event({**head, "object": "chat.completion.chunk", "choices": [], "usage": counts})
        await reply.send(last + DONE)
        await reply.finish()

    async def _speak(self, ask: Ask, index: int, pause: float) -> AsyncGenerator[Said, None]:
        """Yield one choice, token by token; the last part carries the reason it ended."""
        scan = chat.StopScan(ask.stop)
        finish = "length"
        seed = None if ask.seed is None else (ask.seed + index) % 2**63

        def make() -> Iterator[Token]:
            return self._model.generate(
                ask.text, max_tokens=ask.max_tokens, temperature=ask.temperature, seed=seed, logprobs=ask.logprobs
            )

        async with aclosing(self._inference.stream(self.name, make, each=ask.stream)) as batches:
            async for batch in batches:
                for token in batch:
                    if token.is_end:
                        finish = "stop"
                        continue
                    if pause:
                        await asyncio.sleep(pause)
                    yield Said(scan.feed(token.text), (token,))
                    if scan.hit:
                        break
                if scan.hit:
                    break
        yield Said(scan.rest(), finish="stop" if scan.hit else finish)


def _choice(ask: Ask, index: int, said: list[Said]) -> dict[str, Any]:
    text = "".join(part.text for part in said)
    entries = _entries(ask, tuple(token for part in said for token in part.tokens))
    message = {"role": "assistant", "content": text, "refusal": None}
    logprobs = {"content": entries} if ask.logprobs else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": said[-1].finish}


def _entries(ask: Ask, tokens: tuple[Token, ...]) -> list[dict[str, Any]] | None:
    if not ask.logprobs:
        return None
    return [chat.token_entry(token.text, token.logprob, ask.top_logprobs) for token in tokens]


def _event(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


async def _refuse(reply: Reply, bad: BadAsk) -> None:
    await reply.whole(bad.status, bad.body)
