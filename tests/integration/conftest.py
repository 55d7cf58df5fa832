"""One running Shoal per test file that wants one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import Running, running


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Shoal on the practice pool alone."""
    with running(tmp_path_factory.mktemp("instance")) as shoal:
        yield shoal
