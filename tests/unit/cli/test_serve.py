"""The greeting of `shoal serve`: what it shows can be pasted into another terminal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shoal.cli.main import Shared
from shoal.cli.serve import _command


def test_commands_to_try_repeat_the_options_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/shoal")
    assert _command(Shared(None, None, None)) == "shoal"
    given = Shared(Path("own.toml"), Path("/tmp/my state"), None)
    assert _command(given) == "shoal --config own.toml --state '/tmp/my state'"
