"""The server: sockets, signals and the order of starting and stopping.

Knows uvicorn and the operating system; nothing of requests. It binds before it starts, so that a port in use is told
with the way out, calls `ready` once requests are taken, and on SIGTERM lets running replies end for a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from shoal.core.errors import SetupError
from shoal.gateway.connection import Bounds, bounded

FILES_WANTED = 16384
FILES_KEPT = 256  # for upstream connections, the journal and what Python itself opens
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
T = TypeVar("T")


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Return sockets bound to every address of `host`; port 0 takes any free port, the same for all.

    Raises:
        SetupError: the address cannot be bound; says why and the way out.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, OverflowError, UnicodeError):
        raise SetupError(
            f"`{host}` is no address of this machine; set `[server] host`, for example 127.0.0.1"
        ) from None
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in found:
            if sockets and port == 0:
                port = sockets[0].getsockname()[1]
            if any(s.family == family and s.getsockname()[0] == address[0] for s in sockets):
                continue
            try:
                sockets.append(_bind(family, kind, protocol, (address[0], port, *address[2:])))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and found[0][0] != family and sockets:
                    continue  # `localhost` names ::1 on machines without IPv6, too
                raise
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise SetupError(_way_out(host, port, error)) from None
    return sockets


def _bind(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: without, small chunks wait 40 ms for the client's acknowledgement.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(1)  # a second instance would otherwise bind as well and fail only later
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _way_out(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return (
            f"port {port} on {host} is in use; stop what runs there, or take another: `shoal serve --port {other}` "
            f"(`make run PORT={other}`), `[server] port`"
        )
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs a privileged user; take one above 1023: `shoal serve --port 8400`"
    return f"{host} port {port} cannot be bound ({error.strerror}); set `[server] host` and `[server] port`"


def url_of(sockets: Sequence[socket.socket]) -> str:
    """Return the address a client on this machine uses."""
    name = sockets[0].getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])
    return f"http://[{host}]:{name[1]}" if ":" in host else f"http://{host}:{name[1]}"


def allow_files(bounds: Bounds) -> Bounds:
    """Raise this process's limit of open files, and fit the connections into what was given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return bounds
    return replace(bounds, connections=max(16, min(bounds.connections, soft - FILES_KEPT)))


class Listener(Server):
    """uvicorn's server with our way of stopping: signals end it without killing the process, and nothing is left."""

    def __init__(self, config: Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to take requests, then say so."""
        await super().startup(sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Turn the first signal into a graceful stop, a second one into a quick stop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Take no more requests and end; called twice, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let replies end for `stop_s`, then cancel what is left and see it end."""
        tasks = set(self.server_state.tasks)
        await super().shutdown(sockets)
        tasks |= self.server_state.tasks
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1.0)
        for connection in list(self.server_state.connections):
            if (transport := connection.transport) is not None:
                transport.abort()


async def serve(
    app: Any,
    sockets: list[socket.socket],
    *,
    bounds: Bounds | None = None,
    ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve `app` until SIGTERM, SIGINT or `stop`; `ready` is told the address once requests are taken."""
    bounds = allow_files(bounds or Bounds())
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what it would say is said by us
    config = Config(
        app,
        http=bounded(bounds),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        forwarded_allow_ips="127.0.0.1",  # said, so that uvicorn does not read the environment
        workers=1,
        backlog=bounds.backlog,
        timeout_keep_alive=round(bounds.keep_alive_s),
        timeout_graceful_shutdown=max(1, round(bounds.stop_s)),
    )
    url = url_of(sockets)
    listener = Listener(config, lambda: ready(url) if ready is not None else None)
    waiting = asyncio.create_task(_stop_after(stop, listener)) if stop is not None else None
    try:
        await listener.serve(sockets)
    finally:
        if waiting is not None:
            waiting.cancel()
        for opened in sockets:
            opened.close()


async def _stop_after(stop: asyncio.Event, listener: Listener) -> None:
    await stop.wait()
    listener.stop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the process's main coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
