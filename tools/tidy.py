"""Objects when something calm is about to become large or untidy (a ratchet, not a wall).

Looks at what git tracks: file and function length, files without an opening docstring, words that say a thing is not
finished, and files too large for a repository. Limits are generous; what is over one today stands in `KNOWN`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 75
FILE_KILOBYTES = 1536
WORDS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error")
KNOWN: dict[str, str] = {}  # path or path:function -> why it may be large


def tracked() -> list[Path]:
    """Return the files git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True, text=True).stdout
    return [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]


def objections(path: Path) -> list[str]:
    """Return what is untidy about one file."""
    found = []
    if path.stat().st_size > FILE_KILOBYTES * 1024:
        found.append(f"{path}: larger than {FILE_KILOBYTES} kB")
    if path.suffix != ".py":
        return found
    source = path.read_text()
    lines = source.count("\n")
    if lines > FILE_LINES and str(path) not in KNOWN:
        found.append(f"{path}: {lines} lines, over {FILE_LINES}; is it still one room?")
    tree = ast.parse(source)
    if tree.body and ast.get_docstring(tree) is None and path.parts[0] in ("src", "recipes", "tools"):
        found.append(f"{path}: no docstring saying what the file knows")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES and f"{path}:{node.name}" not in KNOWN:
                found.append(f"{path}:{node.lineno}: `{node.name}` has {length} lines, over {FUNCTION_LINES}")
    found += [f"{path}: says {word}" for word in WORDS if word in source]
    return found


def main() -> int:
    """Print every objection; 1 if there is one."""
    found = [line for path in tracked() for line in objections(path)]
    print("\n".join(found) if found else "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
