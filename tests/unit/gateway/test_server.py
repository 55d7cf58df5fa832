"""The server's own decisions: addresses, open files, and what it never imports."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from shoal.gateway.connection import FULL, HEADERS_LATE, MALFORMED, Bounds, bounded
from shoal.gateway.server import allow_files, open_sockets, url_of


def test_the_address_told_is_one_a_client_here_can_use() -> None:
    sockets = open_sockets("0.0.0.0", 0)
    port = sockets[0].getsockname()[1]
    assert url_of(sockets) == f"http://127.0.0.1:{port}"
    for opened in sockets:
        opened.close()


def test_connections_fit_into_the_files_this_process_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 512))
    assert allow_files(Bounds()).connections == 256
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert allow_files(Bounds()) == Bounds()


def test_each_server_has_its_own_bounds() -> None:
    short, usual = bounded(Bounds(headers_s=1)), bounded(Bounds())
    assert (short.bounds.headers_s, usual.bounds.headers_s) == (1, 10)


@pytest.mark.parametrize("whole", [MALFORMED, HEADERS_LATE, FULL])
def test_replies_before_the_application_are_whole(whole: bytes) -> None:
    head, _, body = whole.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"connection: close" in head and body.startswith(b'{"error":')


def test_the_gateway_imports_nothing_heavy() -> None:
    code = (
        "import sys, shoal.gateway.app, shoal.gateway.server; "
        "print(sorted({'aiohttp', 'sqlalchemy', 'numpy', 'httpx', 'pydantic', 'cedarpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
