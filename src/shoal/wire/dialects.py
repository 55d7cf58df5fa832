"""The dialects Shoal speaks, by name.

Knows what every dialect has to offer: a prompt becomes a call, a reply or a stream becomes canonical values. Knows no
provider; what differs between providers of one dialect is a quirk, and quirks live with the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from shoal.core.endpoint import Endpoint
from shoal.core.item import Answer, Delta
from shoal.core.request import Prompt
from shoal.wire.openai_chat import OpenAIChat
from shoal.wire.outgoing import Outgoing


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed reply into deltas, however the network cut them."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be read; `finish` then says whether the end was a good one."""

    def feed(self, data: bytes) -> list[Delta]:
        """Return the deltas these bytes complete.

        Raises:
            UpstreamError: the endpoint reported an error in band, or sent what is no stream of this dialect.
        """

    def finish(self) -> list[Delta]:
        """Return what was still held back; call it once, when the body is over or `ended` is true.

        Raises:
            UpstreamError: the stream stopped without saying that it was finished.
        """


class Dialect(Protocol):
    """One wire form, spoken by any number of providers."""

    def encode(self, prompt: Prompt, endpoint: Endpoint, *, stream: bool, key: str | None) -> Outgoing:
        """Return the call that asks `endpoint` for an answer to `prompt`."""

    def decode(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer in a whole reply.

        Raises:
            UpstreamError: the endpoint refused, failed, or sent what is no reply of this dialect.
        """

    def decoder(self, endpoint: Endpoint) -> StreamDecoder:
        """Return a fresh decoder for one streamed reply."""


DIALECTS: Mapping[str, Dialect] = MappingProxyType({"openai-chat": OpenAIChat()})
