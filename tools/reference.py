"""Runs every generator of reference pages: each `tools/*_reference.py` writes one page, or with `--check` compares it.

tools/reference.py
tools/reference.py --check
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent


def generators() -> list[Path]:
    """Return the generators, by name."""
    return sorted(TOOLS.glob("*_reference.py"))


def main(arguments: list[str]) -> int:
    """Run them all; 1 if one of them fails."""
    if arguments not in ([], ["--check"]):
        print(f"found `{' '.join(arguments)}`, expected nothing or --check", file=sys.stderr)
        return 2
    codes = [subprocess.run([sys.executable, str(path), *arguments], check=False).returncode for path in generators()]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
