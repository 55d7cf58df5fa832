"""The room names language, operation and split; it never converts or computes. Its source is walked to see so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import shoal.coordinator

ROOM = Path(shoal.coordinator.__file__).parent
CONVERTERS = {"int", "eval", "exec", "Decimal", "Fraction", "complex", "ord", "chr", "num2words"}
METHODS = {"numeric", "digit", "decimal", "literal_eval", "loads_number"}
READERS = {"phrases.py", "planner.py", "review.py"}  # the files that hold operands and outputs
ALLOWED = {("phrases.py", "ord"), ("language.py", "ord"), ("utility.py", "float")}


def calls(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            found.append(function.id if isinstance(function, ast.Name) else getattr(function, "attr", ""))
    return found


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_nothing_here_turns_text_into_a_number(path: Path) -> None:
    used = {name for name in calls(path) if name in CONVERTERS | METHODS}
    assert {name for name in used if (path.name, name) not in ALLOWED} == set()


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_files_that_hold_operands_do_not_even_know_float(name: str) -> None:
    assert "float" not in calls(ROOM / name)


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_nothing_here_imports_what_converts_or_reads_a_clock(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
            assert not (node.module or "").startswith("shoal.practice")
    assert imported.isdisjoint({"num2words", "decimal", "time", "datetime", "random", "os", "socket", "asyncio"})


def test_junk_in_junk_out() -> None:
    from coordinator_pool import PRACTICE, ask_for, follow, state_of
    from shoal.core.request import Effort

    for effort in Effort:
        stop, state, _ = follow(state_of(ask_for("三足す四は？"), PRACTICE, effort), lambda step, outputs: "junk")
        assert state.results[stop.final].text == "junk"
