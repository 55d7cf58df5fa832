"""Probe: is an endpoint's address there, and does it take the key?

Sends `GET {base_url}/models` and nothing else: no text of anybody's. Knows nothing of health or routes; an answer of
whatever status means that the address is reached, and what the status says of the key is told beside it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from shoal.core.endpoint import Endpoint, Limits
from shoal.core.errors import UpstreamError
from shoal.core.request import Prompt
from shoal.pool.exchange import Exchange
from shoal.pool.transport import Transport
from shoal.wire.dialects import DIALECTS

LIMIT_S = 3.0
PATH = "/models"
AT_ONCE = 16
KeySaid = Literal["taken", "refused", "unsaid"]


@dataclass(frozen=True, slots=True)
class Reached:
    """What a probe saw: the reply's status, or why there was none; and what it says of the key."""

    status: int | None
    latency_s: float
    error: str | None = None

    @property
    def is_reached(self) -> bool:
        """Whether anybody answered."""
        return self.status is not None

    @property
    def key(self) -> KeySaid:
        """What the answer says of the key; many addresses have no list of models, and then it says nothing."""
        if self.status in (401, 403):
            return "refused"
        return "taken" if self.status is not None and 200 <= self.status < 300 else "unsaid"


async def reach(transport: Transport, endpoint: Endpoint, key: str | None, *, limit_s: float = LIMIT_S) -> Reached:
    """Return whether the endpoint's address answers within the limit; never raises for what the other side does."""
    loop = asyncio.get_running_loop()
    limits = Limits(connect_s=limit_s, first_byte_s=limit_s, gap_s=limit_s, total_s=limit_s)
    started = loop.time()
    try:
        dialect = DIALECTS.get(endpoint.dialect)
        if dialect is None:
            return Reached(None, 0.0, f"speaks `{endpoint.dialect}`, which this version does not speak")
        call = dialect.encode(Prompt(()), endpoint, stream=False, key=key)  # for its headers alone
        headers = {name: value for name, value in call.headers.items() if name.lower() != "content-type"}
        call = replace(call, method="GET", url=endpoint.base_url.rstrip("/") + PATH, headers=headers, body=b"")
        async with Exchange(transport, limits) as exchange:
            await exchange.send(call)
            return Reached(exchange.status, loop.time() - started)
    except UpstreamError as error:
        return Reached(None, loop.time() - started, error.message)
