"""The reference pages say what the gateway does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from fake_gateway import Finished, gateway
from fakes import answer, request
from shoal.gateway.chat import served
from shoal.gateway.connection import Bounds
from shoal.settings.sections import ServerSection

ROOT = Path(__file__).parents[3]
API = (ROOT / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")


def tool() -> ModuleType:
    """Return the tool that writes the page of errors."""
    spec = importlib.util.spec_from_file_location("error_reference", ROOT / "tools" / "error_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_errors_is_up_to_date() -> None:
    made = tool()
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run tools/error_reference.py"


def test_every_path_and_reply_header_is_documented() -> None:
    for path, handlers in gateway()._table.items():
        for method in handlers:
            assert f"| `{path}` | {method} |" in API

    for name, _ in served(Finished("run", answer("x")), request()):
        assert f"`{name.decode()}`" in API


def test_the_limits_named_are_the_limits_kept() -> None:
    bounds, server = Bounds(), ServerSection()
    assert f"{bounds.header_bytes // 1024} kB and {bounds.header_count} lines" in API
    assert f"| time for headers | {server.header_timeout_s:g} s" in API
    assert f"| time for a body | {server.body_timeout_s:g} s" in API
    assert f"| body | {server.max_body_mb:g} MB" in API
    assert f"| connections | {server.max_connections}," in API
    assert f"| requests in work | {server.concurrency}," in API
    assert f"cut off after {bounds.write_s:g} s" in API
    assert f"closed after {bounds.keep_alive_s:g} s" in API
    assert f"have {bounds.stop_s:g} s to end" in API
    assert max(server.header_timeout_s, server.body_timeout_s) <= 12  # half-open sockets go within 15 s
