"""Server: every practice model behind its own port in one process, and the control port that breaks and mends them.

Knows which model stands behind which port, and what the control port may ask. The answers are the models' own: this
side of the pool never imports what spells numbers or writes questions, and the control port says so to whoever asks.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from shoal.practice.connection import Call, Port, Reply
from shoal.practice.control import Notice
from shoal.practice.door import Door
from shoal.practice.fault import Fault, Kind
from shoal.practice.inference import Inference

_OPEN_S = 5.0


class BadOrder(Exception):
    """The control port was asked for something that cannot be done."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class PracticeServer:
    """All doors of one pool, opened and closed together."""

    def __init__(
        self, weights: Mapping[str, Path], *, owners: Mapping[str, str] | None = None, threads: int = 1
    ) -> None:
        self.doors: dict[str, Door] = {}
        self._weights = weights
        self._owners = owners or {}
        self._inference = Inference(threads=threads)
        self._control = Port(self._obey)
        self._token = token_urlsafe(24)

    async def start(self) -> Notice:
        """Load every model, open every port, and return what a client has to know.

        Raises:
            FileNotFoundError: the weights of a model are missing.
        """
        models = await asyncio.to_thread(_load, self._weights)
        for name, model in models.items():
            self.doors[name] = Door(name, model, self._inference, owner=self._owners.get(name, "practice"))
        async with asyncio.timeout(_OPEN_S):
            for door in self.doors.values():
                await door.port.open()
            await self._control.open()
        ports = {name: door.port.number for name, door in self.doors.items()}
        return Notice(os.getpid(), self._control.number, self._token, ports)

    async def stop(self) -> None:
        """Close every port, reset every connection, and let the threads end."""
        self._inference.stop()
        self._control.release()
        for door in self.doors.values():
            door.port.release()
        await asyncio.sleep(0)  # let the transports see that they are closed

    async def _obey(self, call: Call, reply: Reply) -> None:
        given = call.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return await reply.whole(401, {"error": "the token in practice.json is needed here"})
        try:
            body = call.json() if call.body else {}
            if not isinstance(body, dict):
                raise BadOrder("the body must be a JSON object")
            await reply.whole(200, await self._done(f"{call.method} {call.path}", body))
        except BadOrder as bad:
            await reply.whole(bad.status, {"error": str(bad)})
        except ValueError as error:
            await reply.whole(400, {"error": str(error)})

    async def _done(self, order: str, body: Mapping[str, Any]) -> dict[str, Any]:
        match order:
            case "GET /list":
                return {"models": [_row(door) for door in self.doors.values()]}
            case "GET /modules":
                return {"modules": sorted(sys.modules)}
            case "POST /fault":
                door = self._door(body)
                fault = Fault.parse(body.get("kind"), body.get("times", 1), body.get("after", 0), body.get("seconds"))
                if fault.kind is Kind.KILL and fault.after == 0:
                    door.port.close()
                else:
                    door.book.add(fault)
                return _row(door)
            case "POST /clear":
                doors = [self._door(body)] if body.get("model") is not None else list(self.doors.values())
                for door in doors:
                    door.book.clear()
                return {"models": [_row(door) for door in doors]}
            case "POST /kill":
                door = self._door(body)
                door.port.close()
                return _row(door)
            case "POST /revive":
                door = self._door(body)
                await door.port.open()
                return _row(door)
        raise BadOrder(f"there is no `{order}`", 404)

    def _door(self, body: Mapping[str, Any]) -> Door:
        name = body.get("model")
        if not isinstance(name, str) or name.removeprefix("practice/") not in self.doors:
            raise BadOrder(f"there is no practice model `{name}`; there are {', '.join(self.doors)}", 404)
        return self.doors[name.removeprefix("practice/")]


def _row(door: Door) -> dict[str, Any]:
    return {
        "model": door.name,
        "port": door.port.number,
        "open": door.port.is_open,
        "requests": door.requests,
        "working": door.working,
        "faults": [fault.as_dict() for fault in door.book.pending()],
    }


def _load(weights: Mapping[str, Path]) -> dict[str, Any]:
    from shoal.practice.transformer import Model  # NumPy is imported here, beside the loop's thread

    return {name: Model.load(path) for name, path in weights.items()}
