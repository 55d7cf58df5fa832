"""Transport: bytes to an endpoint and back, and the border where foreign exceptions become ours.

Knows sockets through aiohttp and nothing of dialects, endpoints or health. It follows no redirect, keeps no cookie,
reads no proxy from the environment and unpacks nothing by itself. Limits on silence and size are kept by
`exchange.py`, the same for every transport; only the time to connect is kept here, where connecting is seen.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp

from shoal.core.endpoint import Limits
from shoal.core.errors import Loss, UpstreamError, UpstreamTimeout
from shoal.wire.outgoing import Outgoing

KEEP_ALIVE_S = 15.0  # below the 60 s and more that providers keep, so that a reused connection is rarely a dead one
DNS_S = 60


class Response(Protocol):
    """A reply whose head is there; headers are lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes:
        """Return the next piece of the body as it comes, empty at its end.

        Raises:
            UpstreamError: the body broke off.
        """

    async def close(self) -> None:
        """Drop the connection at once if the body is not over; safe to call twice."""


class Transport(Protocol):
    """A way to reach endpoints."""

    async def send(self, outgoing: Outgoing, limits: Limits) -> Response:
        """Send the call and return the reply once its head is there; a cancelled send drops the connection.

        Raises:
            UpstreamError: the endpoint could not be reached; `sent` says whether any of the call may have left.
        """


FOREIGN: tuple[type[Exception], ...] = (aiohttp.ClientError, OSError, ValueError, EOFError, aiohttp.WSMessageTypeError)
"""Everything aiohttp and the sockets beneath it raise; ssl.SSLError and TimeoutError are OSErrors."""

_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    ssl.SSLCertVerificationError,
    socket.gaierror,
    ConnectionRefusedError,
)


def translate(error: Exception, *, limits: Limits | None = None) -> UpstreamError:
    """Return our error for one of the transport's; texts of the foreign error may hold addresses, so few are kept."""
    sent = not isinstance(error, _BEFORE_SENDING)
    match error:
        case aiohttp.ConnectionTimeoutError():
            seconds = f" within {limits.connect_s:g} s" if limits else ""
            return UpstreamTimeout(f"no connection to the endpoint{seconds}", sent=False)
        case TimeoutError():
            return UpstreamTimeout("the connection to the endpoint timed out", sent=sent)
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return UpstreamError("the endpoint's host name is not known", sent=False)
        case (
            aiohttp.ClientConnectorCertificateError()
            | aiohttp.ClientSSLError()
            | ssl.SSLError()
            | aiohttp.ServerFingerprintMismatch()
        ):
            return UpstreamError("the endpoint's TLS certificate or handshake was not accepted", sent=sent)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            message = "the call cannot be put into HTTP (a bad URL or header); see the endpoint's `base_url` and key"
            return UpstreamError(message, loss=Loss.REQUEST, sent=False)
        case aiohttp.ClientConnectorError() | ConnectionRefusedError():
            return UpstreamError("the endpoint refused the connection", sent=False)
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError() | EOFError():
            return UpstreamError("the endpoint broke off or sent what is no HTTP reply", sent=True)
        case _:
            return UpstreamError("the endpoint closed the connection", sent=sent)


class AiohttpTransport:
    """HTTP/1.1 with kept-alive connections, over aiohttp; Nagle's delay is off (aiohttp sets TCP_NODELAY)."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def send(self, outgoing: Outgoing, limits: Limits) -> Response:
        """Send the call and return the reply once its head is there."""
        session = self._session or self._open()
        try:
            response = await session.request(
                outgoing.method,
                outgoing.url,
                headers=outgoing.headers,
                data=outgoing.body or None,
                timeout=self._timeout(limits.connect_s),
                allow_redirects=False,
            )
        except FOREIGN as error:
            raise translate(error, limits=limits) from error
        return _AiohttpResponse(response)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        # Opened on first use, because aiohttp binds a session to the running loop. Calls at once are bounded by the
        # limiter, per endpoint, so the connector has no bound of its own.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=DNS_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"accept-encoding": "identity"},
        )
        return self._session

    def _timeout(self, connect_s: float) -> aiohttp.ClientTimeout:
        known = self._timeouts.get(connect_s)
        if known is None:
            if len(self._timeouts) >= 64:  # limits come from facts, but a deadline makes new ones
                self._timeouts.clear()
            known = self._timeouts[connect_s] = aiohttp.ClientTimeout(
                total=None, connect=connect_s, sock_connect=None, sock_read=None
            )
        return known


class _AiohttpResponse:
    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except FOREIGN as error:
            raise translate(error) from error

    async def close(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
