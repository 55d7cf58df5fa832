"""The gateway: which path and method goes to which handler, as a plain ASGI application.

Knows HTTP's outside: paths, methods, the guard's answer, statuses. Every request ends here in exactly one reply, or in
none because the client left; no error leaves without OpenAI's shape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

from shoal import __version__
from shoal.core.errors import CallerError, Overloaded, ShoalError, UnknownModel, UnknownPath, WrongMethod
from shoal.core.identity import is_run
from shoal.gateway.answering import Answering, Models, Readiness, Runs
from shoal.gateway.body import Bodies, Gone
from shoal.gateway.chat import STOPPING, Call, Chat, Door
from shoal.gateway.guard import Guard, clean
from shoal.gateway.reply import CLOSE, Receive, Scope, Send, encode, reply, reply_error, unexpected
from shoal.wire.door_chat import ChatDoor
from shoal.wire.door_reply import encode_models

Handler = Callable[[Call], Awaitable[None]]

MODELS = "/v1/models/"
RUNS = "/v1/runs/"
RUNS_SHOWN = 20
RUNS_AT_MOST = 200
OPEN_TO_ALL = frozenset({"/healthz", "/readyz"})  # probes carry no key
BODILESS = frozenset({"GET", "HEAD"})
ALIVE = b'{"status":"ok"}'


class Gateway:
    """The ASGI application."""

    def __init__(
        self,
        answering: Answering,
        *,
        models: Models,
        runs: Runs,
        readiness: Readiness,
        guard: Guard,
        door: Door | None = None,
        max_body_mb: float = 8,
        max_in_flight: int = 1024,
        heartbeat_s: float = 10.0,
    ) -> None:
        self._models = models
        self._runs = runs
        self._readiness = readiness
        self._guard = guard
        self.chat = Chat(
            answering, door or ChatDoor(), Bodies(max_body_mb), heartbeat_s=heartbeat_s, max_in_flight=max_in_flight
        )
        self._table: Mapping[str, Mapping[str, Handler]] = {
            "/": {"GET": self._root},
            "/healthz": {"GET": self._alive},
            "/readyz": {"GET": self._ready},
            "/v1/chat/completions": {"POST": self.chat},
            "/v1/models": {"GET": self._list_models},
            "/v1/runs": {"GET": self._list_runs},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] != "http":
            return
        method = scope["method"]
        call = Call(method, scope["path"], scope["query_string"], headers_of(scope["headers"]), receive, send)
        if method not in BODILESS:
            call.extra.append(CLOSE)  # an error before the body is read also ends the connection
        try:
            await self._dispatch(call)
        except Gone:
            pass
        except ShoalError as error:
            await self._fail(call, error)
        except asyncio.CancelledError:  # the server stops and has waited long enough
            await self._fail(call, Overloaded(STOPPING))
        except Exception as error:
            await self._fail(call, unexpected(error, call.run))

    async def _fail(self, call: Call, error: ShoalError) -> None:
        if not call.has_begun:
            call.has_begun = True
            await reply_error(call.send, error, call.run, call.extra)

    async def _dispatch(self, call: Call) -> None:
        handlers = self._table.get(call.path) or self._deeper(call)
        if b"\0host" in call.headers:
            raise CallerError("the request names two hosts")
        if call.path in OPEN_TO_ALL:
            self._guard.check_host(call.headers)
        else:
            call.owner = self._guard.admit(call.headers)
        if handlers is None:
            raise UnknownPath(_unknown(call.path))
        handler = handlers.get("GET" if call.method == "HEAD" else call.method)
        if handler is None:
            allowed = ", ".join([*handlers, *(["HEAD"] if "GET" in handlers else [])])
            call.extra.append((b"allow", allowed.encode()))
            raise WrongMethod(f"`{_shown(call.path)}` takes {allowed}, not {_shown(call.method)}")
        await handler(call)

    def _deeper(self, call: Call) -> Mapping[str, Handler] | None:
        """Return the handlers of a path that ends in a name, or None."""
        path = call.path
        if path.startswith(MODELS) and len(path) > len(MODELS):
            return {"GET": self._show_model}
        if path.startswith(RUNS) and len(path) > len(RUNS) and "/" not in path[len(RUNS) :]:
            return {"GET": self._show_run}
        return self._table.get(path.rstrip("/")) if path.endswith("/") else None

    async def _root(self, call: Call) -> None:
        await reply(
            call.send,
            200,
            encode(
                {
                    "name": "shoal",
                    "version": __version__,
                    "about": "one OpenAI-compatible endpoint over a pool of language models",
                    "base_url": "use this address followed by /v1",
                    "paths": [f"{method} {path}" for path, handlers in self._table.items() for method in handlers],
                }
            ),
        )

    async def _alive(self, call: Call) -> None:
        await reply(call.send, 200, ALIVE)

    async def _ready(self, call: Call) -> None:
        reason = self._readiness.unready()
        if reason is None:
            await reply(call.send, 200, b'{"status":"ready"}')
        else:
            await reply(call.send, 503, encode({"status": "not ready", "reason": reason}))

    async def _list_models(self, call: Call) -> None:
        await reply(call.send, 200, encode_models(self._models.models()))

    async def _show_model(self, call: Call) -> None:
        name = call.path[len(MODELS) :]
        for model in self._models.models():
            if model["id"] == name:
                await reply(call.send, 200, encode({"object": "model", "created": 0, **model}))
                return
        raise UnknownModel(f"no model `{_shown(name)}` here; `GET /v1/models` lists the names", param="model")

    async def _list_runs(self, call: Call) -> None:
        rows = await self._runs.runs(_limit(call.query), call.owner)
        shown = [_without_owner(row) for row in rows if self._may_see(call, row)]
        await reply(call.send, 200, encode({"object": "list", "data": shown}))

    async def _show_run(self, call: Call) -> None:
        name = call.path[len(RUNS) :]
        view = await self._runs.run(name) if is_run(name) else None
        if view is None or not self._may_see(call, view):
            raise UnknownPath(f"no run `{_shown(name)}` here; `GET /v1/runs` lists the last ones")
        await reply(call.send, 200, encode(_without_owner(view)))

    def _may_see(self, call: Call, view: Mapping[str, object]) -> bool:
        """Return whether the caller owns the run; without keys, whoever reaches this address is local."""
        return not self._guard.asks_for_key or view.get("owner") == call.owner


def headers_of(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name. Of a repeated `x-shoal-exclude` all count, two different hosts are marked as such."""
    headers = dict(pairs)
    if len(headers) != len(pairs):
        excluded = [value for name, value in pairs if name == b"x-shoal-exclude"]
        if excluded:
            headers[b"x-shoal-exclude"] = b",".join(excluded)
        if len({value for name, value in pairs if name == b"host"}) > 1:
            headers[b"\0host"] = b""  # no header a client sends can have this name
    return headers


def _without_owner(view: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in view.items() if key != "owner"}


def _limit(query: bytes) -> int:
    try:
        fields = parse_qs(query.decode("latin-1"), max_num_fields=16)
        limit = int(fields.get("limit", [str(RUNS_SHOWN)])[-1])
    except ValueError:
        limit = 0
    if not 1 <= limit <= RUNS_AT_MOST:
        raise CallerError(f"`limit` is a whole number from 1 to {RUNS_AT_MOST}", param="limit")
    return limit


def _shown(text: str) -> str:
    """Return a client's own words, short and printable, for a message."""
    return clean(text[:120]).decode()


def _unknown(path: str) -> str:
    for known in ("/chat/completions", "/models", "/runs"):
        if path.rstrip("/").endswith(known):
            return f"nothing at `{_shown(path)}`; did you mean `/v1{known}`? The base URL ends in /v1, once"
    return f"nothing at `{_shown(path)}`; `GET /` lists what there is"
