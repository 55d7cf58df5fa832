"""Where a command's questions go: to a running Shoal over HTTP, or to one opened in this process.

Knows the notice a running gateway leaves in the state directory. Both sides offer the same few verbs and speak the
same JSON, so a command does not see the difference.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import orjson

from shoal.cli.main import Shared
from shoal.core.errors import PoolError, SetupError, ShoalError

if TYPE_CHECKING:
    from shoal.assembly import Instance
    from shoal.core.endpoint import Endpoint
    from shoal.ledger.ledger import Ledger
    from shoal.practice.process import PracticePool

NOTICE = "serve.json"


class Backend(Protocol):
    """What commands ask of a Shoal."""

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one chat request whole; raises ShoalError."""

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the names a client may use."""

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Return one run's view, or None."""

    async def runs(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest runs first."""


def state_dir(shared: Shared) -> Path:
    """Return the state directory in force."""
    from shoal.assembly import state_of
    from shoal.settings import load

    return state_of(load(shared.config), shared.state)


def running_url(state: Path) -> str | None:
    """Return the address of the Shoal that runs on this state directory, or None.

    A notice may outlive its process, and its pid may be somebody else's by now, so the address has to listen too.
    """
    try:
        notice = orjson.loads((state / NOTICE).read_bytes())
        url = notice["url"]
        os.kill(int(notice["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return url if isinstance(url, str) and _listens(url) else None


def _listens(url: str) -> bool:
    """Whether somebody takes connections at an address of this machine."""
    try:
        at = urlsplit(url)
        with socket.create_connection((at.hostname or "", at.port or 0), timeout=0.5):
            return True
    except (OSError, ValueError, OverflowError):
        return False


@asynccontextmanager
async def notice(state: Path, url: str) -> AsyncIterator[None]:
    """Leave the address of this process in the state directory for the length of the block.

    Where another Shoal has done so already and still runs, its notice stays, and commands go on talking to it.
    """
    path = state / NOTICE
    other = running_url(state)
    if other is not None:
        yield
        return
    told = {"pid": os.getpid(), "url": url}
    path.write_bytes(orjson.dumps(told))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            if orjson.loads(path.read_bytes()) == told:
                path.unlink()


@asynccontextmanager
async def open_here(shared: Shared, *, serving: bool = False) -> AsyncIterator[Instance]:
    """Open an instance in this process, with local servers found and, unless settings say no, the practice pool.

    Only a serving instance leaves the practice pool's notice in the state directory; a passing one uses the pool of
    the Shoal that runs on the same state, or else starts one that keeps to itself.
    """
    from shoal.assembly import facts_of, local_entries, open_instance, state_of
    from shoal.practice.process import PracticePool, endpoints
    from shoal.settings import load

    loaded = load(shared.config)
    state = state_of(loaded, shared.state)
    async with AsyncExitStack() as stack:
        extra: Sequence[Endpoint] = ()
        own_ports: list[int] = []
        if loaded.settings.practice.enabled is not False:
            pool = None if serving else _practice_beside(state)
            if pool is None:
                told = state if serving and running_url(state) is None else None
                pool = await stack.enter_async_context(PracticePool.start(told))
            extra = endpoints(pool)
            own_ports = list(pool.ports.values())
        facts = facts_of(loaded)
        local = await local_entries(loaded, facts, own_ports)
        opened = open_instance(loaded, state=state, facts=facts, extra=extra, local=local)
        yield await stack.enter_async_context(opened)


def _practice_beside(state: Path) -> PracticePool | None:
    """Return the practice pool of the Shoal that runs on this state directory, or None."""
    from shoal.practice.control import Control
    from shoal.practice.process import PracticePool

    if running_url(state) is None:
        return None
    try:
        control = Control.of(state)
    except SetupError:
        return None
    return PracticePool(state, control.notice.pid, control.notice.models, control)


@asynccontextmanager
async def backend(shared: Shared) -> AsyncIterator[Backend]:
    """Give the Shoal a command should talk to: `--url`, the one running on this state directory, or one in here."""
    url = shared.url or running_url(state_dir(shared))
    if url is not None:
        async with _remote(url) as remote:
            yield remote
    else:
        async with open_here(shared) as instance:
            yield Here(instance)


@dataclass(frozen=True, slots=True)
class Here:
    """An instance in this process."""

    instance: Instance

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one chat request whole."""
        from shoal.core.identity import new_run
        from shoal.wire.door_chat import ChatDoor

        door = ChatDoor()
        request = door.parse(orjson.dumps(body), run=new_run(), owner=None, exclude=None)
        reply: dict[str, Any] = orjson.loads(door.encode(await self.instance.pipeline.answer(request), request))
        return reply

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the names a client may use."""
        return self.instance.models()

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Return one run's view, or None."""
        return await self.instance.run(run_id)

    async def runs(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest runs first."""
        return await self.instance.runs(limit)


class Refused(ShoalError):
    """What a running Shoal answered instead of an answer."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", f"status {status}")), detail=error.get("shoal") or {})
        self.status = status  # type: ignore[misc]  # the other side's own status and code
        self.code = str(error.get("code", "error"))  # type: ignore[misc]


@asynccontextmanager
async def _remote(url: str) -> AsyncIterator[Backend]:
    import aiohttp

    from shoal.settings import secret

    key = secret("SHOAL_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    base = url.rstrip("/").removesuffix("/v1")
    try:
        at = urlsplit(base)
        is_address = at.scheme in ("http", "https") and bool(at.hostname) and at.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise SetupError(f"`{url}` is no address of a Shoal; write it like http://127.0.0.1:8400")
    timeout = aiohttp.ClientTimeout(total=None, connect=5)
    async with aiohttp.ClientSession(base, headers=headers, timeout=timeout, trust_env=False) as session:
        yield Remote(base, session)


class Remote:
    """A running Shoal, over HTTP."""

    def __init__(self, url: str, session: Any) -> None:
        self.url = url
        self._session = session

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one chat request whole."""
        reply: dict[str, Any] = await self._call("POST", "/v1/chat/completions", body)
        return reply

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the names a client may use."""
        data: Sequence[Mapping[str, Any]] = (await self._call("GET", "/v1/models"))["data"]
        return data

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Return one run's view, or None."""
        try:
            view: Mapping[str, Any] = await self._call("GET", f"/v1/runs/{run_id}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return view

    async def runs(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest runs first."""
        data: Sequence[Mapping[str, Any]] = (await self._call("GET", f"/v1/runs?limit={limit}"))["data"]
        return data

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        import aiohttp

        try:
            async with self._session.request(method, path, json=body) as response:
                raw, status = await response.read(), response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PoolError(
                f"no Shoal answers at `{self.url}` ({type(error).__name__}); start one with `shoal serve`"
            ) from None
        except ValueError as error:
            raise SetupError(f"`{self.url}` is not an address: {error}") from None
        try:
            reply = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise PoolError(f"what answers at `{self.url}` is no Shoal: status {status}, no JSON") from None
        if status >= 400:
            raise Refused(status, reply.get("error", {}))
        return reply


@asynccontextmanager
async def reading(state: Path) -> AsyncIterator[Reading]:
    """Read the journal of a state directory, also while another process writes it."""
    from shoal.assembly import JOURNAL, SystemClock
    from shoal.ledger.ledger import Ledger

    async with Ledger(f"sqlite+aiosqlite:///{state / JOURNAL}", clock=SystemClock()) as ledger:
        yield Reading(ledger)


@dataclass(frozen=True, slots=True)
class Reading:
    """The journal as commands read it."""

    ledger: Ledger

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Return one run's view, or None."""
        found = await self.ledger.run(run_id)
        return None if found is None else dict(found.as_dict())

    async def runs(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest runs first."""
        from shoal.assembly import line_of

        return [line_of(line) for line in await self.ledger.runs(limit)]

    async def text(self, run_id: str, name: str) -> Any:
        """Return a body by its hash, or None where it was not kept."""
        return await self.ledger.body(run_id, name)
