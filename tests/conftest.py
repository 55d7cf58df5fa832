"""What every test stands on: no network beyond loopback, none at all in unit tests, an empty environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import Running, running

KEPT = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SHOAL_TEST_DATA", "CI"}
LOOPBACK = ("127.", "localhost", "::1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make simulate` ask for more seeds than `make test` runs."""
    parser.addoption("--seeds", type=int, default=12, help="how many worlds the simulation runs")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test without the machine's keys and settings."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("PYTEST", "COV", "OMP_", "OPENBLAS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def closed_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse connections: all of them in unit and property tests, all but loopback elsewhere."""
    parts = Path(str(request.node.path)).parts
    strict = "unit" in parts or "property" in parts
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        inside = self.family == socket.AF_UNIX or str(address[0]).startswith(LOOPBACK)
        if not inside or (strict and self.family != socket.AF_UNIX):
            raise RuntimeError(f"a test tried to connect to {address}")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    yield


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running Shoal on the practice pool alone, one for each file that asks for it."""
    with running(tmp_path_factory.mktemp("instance")) as shoal:
        yield shoal
