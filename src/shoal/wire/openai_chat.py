"""The openai-chat dialect, provider side: canonical prompt to Chat Completions and back.

Knows the dialect as a whole and joins its parts: bodies (`chat_body`), quirks (`chat_quirks`), whole replies
(`chat_reply`), streams (`chat_stream`) and refusals (`failures`). Opens no socket and trusts no reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from shoal.core.endpoint import Endpoint
from shoal.core.errors import Loss, UpstreamError
from shoal.core.item import Answer
from shoal.core.request import Prompt
from shoal.wire.chat_body import REASONING, body_of
from shoal.wire.chat_quirks import KEPT, QUIRKS, Draft, Quirk, Reading, acting
from shoal.wire.chat_reply import answer_in
from shoal.wire.chat_stream import ChatStreamDecoder
from shoal.wire.failures import refusal_of
from shoal.wire.outgoing import Outgoing

PATH = "/chat/completions"


class OpenAIChat:
    """Speaks Chat Completions to any provider whose facts say that it does; `quirks` is the table it acts on."""

    def __init__(self, quirks: Mapping[str, Quirk] = QUIRKS) -> None:
        self._quirks = quirks
        self._reading = lru_cache(maxsize=1024)(self._reading_of)

    def encode(self, prompt: Prompt, endpoint: Endpoint, *, stream: bool, key: str | None) -> Outgoing:
        """Return the call that asks `endpoint` for an answer to `prompt`.

        Raises:
            UpstreamError: the endpoint's address or credential cannot be used; nothing was sent.
        """
        quirks = acting(self._quirks, endpoint)
        draft = Draft(body_of(prompt, endpoint, stream=stream), prompt, endpoint)
        for quirk in quirks:
            if quirk.body is not None:
                quirk.body(draft)
        _tidy(draft.body["messages"], keep_marks=any(quirk.keeps_marks for quirk in quirks))
        return Outgoing("POST", _url(endpoint), _headers(endpoint, key, stream=stream), _bytes(draft.body, endpoint))

    def decode(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer in a whole reply.

        Raises:
            UpstreamError: the endpoint refused or failed (`loss` says how), or sent what is no chat completion.
        """
        reading = self._reading(endpoint.quirks)
        if not 200 <= status < 300:
            raise refusal_of(endpoint, status, headers, body, codes=reading.codes)
        return answer_in(endpoint, body, reading)

    def decoder(self, endpoint: Endpoint) -> ChatStreamDecoder:
        """Return a fresh decoder for one streamed reply."""
        return ChatStreamDecoder(endpoint, self._reading(endpoint.quirks))

    def _reading_of(self, names: frozenset[str]) -> Reading:
        reading = Reading()
        for name, quirk in self._quirks.items():
            if quirk.reading is not None and (quirk.everywhere or name in names):
                reading = quirk.reading(reading)
        return reading


def _tidy(messages: list[dict[str, Any]], *, keep_marks: bool) -> None:
    """Take out what no quirk asked to send: the thinking of earlier turns, and cache marks."""
    for message in messages:
        if not message.pop(KEPT, False):
            message.pop(REASONING, None)
        content = message["content"]
        if keep_marks or not isinstance(content, list):
            continue
        for part in content:
            part.pop("cache_control", None)
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            message["content"] = content[0]["text"]


def _url(endpoint: Endpoint) -> str:
    url = endpoint.base_url.rstrip("/") + PATH
    if "{" in url:
        raise UpstreamError(
            f"the address of `{endpoint.id}` has a place to fill in: `{endpoint.base_url}`; "
            "set `base_url` in shoal.toml",
            loss=Loss.ACCOUNT,
            sent=False,
        )
    return url


def _headers(endpoint: Endpoint, key: str | None, *, stream: bool) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
    }
    if not key or endpoint.auth == "none":
        return headers
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UpstreamError(
            f"the key of `{endpoint.id}` has spaces or control characters; check `{endpoint.key_env}`",
            loss=Loss.ACCOUNT,
            sent=False,
        )
    if endpoint.auth == "bearer":
        headers["authorization"] = f"Bearer {key}"
    else:
        headers[endpoint.auth.removeprefix("header:").lower()] = key
    return headers


def _bytes(body: Mapping[str, Any], endpoint: Endpoint) -> bytes:
    try:
        return orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise UpstreamError(
            f"the prompt for `{endpoint.id}` cannot be written as JSON: {error}", loss=Loss.REQUEST, sent=False
        ) from error
