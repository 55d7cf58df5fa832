"""A strict twin behind a real port, for clients that need HTTP.

Knows sockets and nothing of rules: every call goes to `respond`, every chunk of its reply leaves by itself. Listens on
the loopback address only, on a port the system chooses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from shoal.simulation.strict.respond import StrictReply, respond
from shoal.simulation.strict.twin import Twin, load_twins

ROUTE = "/chat/completions"


@asynccontextmanager
async def serve_twin(provider: str) -> AsyncIterator[str]:
    """Serve a provider's twin while the context lasts; yields the base URL a client is given.

    Raises:
        KeyError: there is no twin of that name.
    """
    twin = load_twins()[provider]
    runner = web.AppRunner(_application(twin), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}{twin.paths[0].removesuffix(ROUTE)}"
    finally:
        await runner.cleanup()


def _application(twin: Twin) -> web.Application:
    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await _send(request, respond(twin, request.method, request.path, headers, await request.read()))

    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", handle)
    return application


async def _send(request: web.Request, reply: StrictReply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    await response.prepare(request)
    for chunk in reply.chunks:
        await response.write(chunk)
    if reply.cut and request.transport is not None:
        request.transport.close()  # the connection ends without the last chunk of the encoding
        return response
    await response.write_eof()
    return response
