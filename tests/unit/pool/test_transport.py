"""The border: every exception aiohttp and the sockets raise becomes one of ours."""

from __future__ import annotations

import asyncio
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey

from shoal.core.endpoint import Limits
from shoal.core.errors import Loss, UpstreamError, UpstreamTimeout
from shoal.pool.transport import FOREIGN, AiohttpTransport, translate

KEY: Any = ConnectionKey("host.example", 443, True, True, None, None, None)
INFO: Any = SimpleNamespace(real_url="http://host.example/secret-path", method="POST", headers={})
REFUSED = ConnectionRefusedError(111, "refused")
MADE: dict[str, Exception] = {
    "ClientConnectorError": aiohttp.ClientConnectorError(KEY, REFUSED),
    "ClientProxyConnectionError": aiohttp.ClientProxyConnectionError(KEY, REFUSED),
    "ClientSSLError": aiohttp.ClientSSLError(KEY, REFUSED),
    "ClientConnectorDNSError": aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "unknown")),
    "ClientConnectorSSLError": aiohttp.ClientConnectorSSLError(KEY, REFUSED),
    "ClientConnectorCertificateError": aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("bad")),
    "ServerFingerprintMismatch": aiohttp.ServerFingerprintMismatch(b"a", b"b", "host.example", 443),
    "ClientResponseError": aiohttp.ClientResponseError(INFO, ()),
    "ClientHttpProxyError": aiohttp.ClientHttpProxyError(INFO, ()),
    "WSServerHandshakeError": aiohttp.WSServerHandshakeError(INFO, ()),
    "ContentTypeError": aiohttp.ContentTypeError(INFO, ()),
    "TooManyRedirects": aiohttp.TooManyRedirects(INFO, ()),
}
URLS = ("InvalidURL", "InvalidUrlClientError", "NonHttpUrlClientError")
REDIRECTS = ("InvalidUrlRedirectClientError", "NonHttpUrlRedirectClientError")
NAMES = tuple(name for name in client_exceptions.__all__)
UNSENT = {
    "ClientConnectorError",
    "ClientProxyConnectionError",
    "ClientSSLError",
    "ClientConnectorDNSError",
    "ClientConnectorSSLError",
    "ClientConnectorCertificateError",
    "ServerFingerprintMismatch",
    "ConnectionTimeoutError",
    *URLS,
    *REDIRECTS,
}


def made(name: str) -> Exception:
    if name in MADE:
        return MADE[name]
    kind = getattr(client_exceptions, name)
    error = kind("http://host.example/secret-path") if name in URLS + REDIRECTS else kind()
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize("name", NAMES)
def test_every_exception_of_aiohttp_is_caught_and_becomes_ours(name: str) -> None:
    error = made(name)
    assert isinstance(error, FOREIGN)
    ours = translate(error, limits=Limits())
    assert isinstance(ours, UpstreamError)
    assert ours.sent == (name not in UNSENT)
    assert "secret" not in ours.message and "host.example" not in ours.message
    assert ours.message[0].islower() and not ours.message.endswith(".")


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (ConnectionResetError(), UpstreamError, True),
        (BrokenPipeError(), UpstreamError, True),
        (ConnectionAbortedError(), UpstreamError, True),
        (ConnectionRefusedError(), UpstreamError, False),
        (TimeoutError(), UpstreamTimeout, True),
        (OSError(24, "too many open files"), UpstreamError, True),
        (socket.gaierror(), UpstreamError, False),
        (ssl.SSLError(), UpstreamError, True),
        (ssl.SSLCertVerificationError(), UpstreamError, False),
        (EOFError(), UpstreamError, True),
    ],
)
def test_every_error_of_a_socket_becomes_ours(error: Exception, kind: type[UpstreamError], sent: bool) -> None:
    assert isinstance(error, FOREIGN)
    ours = translate(error)
    assert type(ours) is kind and ours.sent == sent and ours.loss is Loss.TRANSIENT


def test_the_time_to_connect_is_named() -> None:
    ours = translate(aiohttp.ConnectionTimeoutError(), limits=Limits(connect_s=2.5))
    assert isinstance(ours, UpstreamTimeout) and "within 2.5 s" in ours.message


def test_a_call_that_cannot_be_put_into_http_is_not_the_endpoints_fault() -> None:
    assert translate(ValueError("newline in a header")).loss is Loss.REQUEST


def test_a_transport_that_was_never_used_closes() -> None:
    asyncio.run(AiohttpTransport().close())
