"""The page about conformance says what the suite finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tool_writes() -> None:
    tool = ROOT / "tools" / "conformance_reference.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_no_provider_fails_a_scenario() -> None:
    assert "FAIL |" not in (ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")
