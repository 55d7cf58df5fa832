"""Control: how another process finds a running practice pool, breaks its models and mends them.

Knows the file that a pool leaves in the state directory (pid, ports, token; readable by its owner only) and the
orders of the control port. Opens no listening socket and starts no process.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import orjson

from shoal.core.errors import CallerError, SetupError

FILE = "practice.json"
HOST = "127.0.0.1"
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Notice:
    """Where a running pool is found."""

    pid: int
    control: int
    token: str
    models: Mapping[str, int]

    def write(self, state: Path) -> None:
        """Put the notice into the state directory, whole or not at all, for its owner's eyes only."""
        state.mkdir(parents=True, exist_ok=True)
        path = state / f".{FILE}.{token_hex(6)}"
        shown = {"pid": self.pid, "control": self.control, "token": self.token, "models": dict(self.models)}
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        path.replace(state / FILE)

    @classmethod
    def read(cls, state: Path) -> Notice:
        """Read the notice of the pool that runs on `state`.

        Raises:
            SetupError: there is none, or it cannot be read.
        """
        path = state / FILE
        try:
            raw = orjson.loads(path.read_bytes())
            return cls(int(raw["pid"]), int(raw["control"]), str(raw["token"]), dict(raw["models"]))
        except FileNotFoundError:
            raise SetupError(f"no practice pool runs on `{state}`; `shoal serve` starts one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SetupError(f"`{path}` cannot be read ({error}); start the practice pool again") from None

    def withdraw(self, state: Path) -> None:
        """Remove the notice, unless another pool has put its own there since."""
        with suppress(SetupError, FileNotFoundError):
            if Notice.read(state).token == self.token:
                (state / FILE).unlink()


@dataclass(frozen=True, slots=True)
class Control:
    """Orders to a running pool; every method blocks for a moment, so call it from a thread in asynchronous code."""

    notice: Notice
    state: Path

    @classmethod
    def of(cls, state: Path) -> Control:
        """Return the control of the pool that runs on `state`.

        Raises:
            SetupError: no pool runs there.
        """
        return cls(Notice.read(state), state)

    def list(self) -> list[dict[str, Any]]:
        """Return every model with its port, whether it is open, its requests and the faults to come."""
        rows: list[dict[str, Any]] = self._order("GET", "/list")["models"]
        return rows

    def fault(
        self, model: str, kind: str, *, times: int = 1, after: int = 0, seconds: float | None = None
    ) -> dict[str, Any]:
        """Let `after` requests pass, then strike `times` requests (0 = until cleared) with a fault of `kind`."""
        body = {"model": model, "kind": kind, "times": times, "after": after, "seconds": seconds}
        return self._order("POST", "/fault", body)

    def clear(self, model: str | None = None) -> dict[str, Any]:
        """Forget the faults of one model, or of all. A closed port stays closed until `revive`."""
        return self._order("POST", "/clear", {"model": model})

    def kill(self, model: str) -> dict[str, Any]:
        """Close the model's port and reset its connections."""
        return self._order("POST", "/kill", {"model": model})

    def revive(self, model: str) -> dict[str, Any]:
        """Open the model's port again, on the same number."""
        return self._order("POST", "/revive", {"model": model})

    def modules(self) -> frozenset[str]:
        """Return the names of every Python module the pool has loaded."""
        return frozenset(self._order("GET", "/modules")["modules"])

    def _order(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        link = http.client.HTTPConnection(HOST, self.notice.control, timeout=TIMEOUT_S)
        headers = {"authorization": f"Bearer {self.notice.token}"}
        try:
            link.request(method, path, orjson.dumps(body) if body is not None else None, headers)
            response = link.getresponse()
            status, found = response.status, orjson.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the practice pool of `{self.state}` does not answer ({error}); `shoal serve` starts one"
            raise SetupError(message) from None
        finally:
            link.close()
        if status != 200:
            raise CallerError(found["error"])
        result: dict[str, Any] = found
        return result
