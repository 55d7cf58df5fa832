"""The vocabulary: every event is described, the page is up to date, and the code keeps to the words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import shoal
from shoal.core.event import Act
from shoal.ledger.vocabulary import FIELDS, page, undocumented

SOURCE = Path(shoal.__file__).parent
ROOT = Path(__file__).parents[3]


def test_every_event_is_described() -> None:
    assert list(FIELDS) == list(Act)


def test_the_reference_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "reference" / "events.md").read_text("utf-8")
    assert written == page(), "run `python -m shoal.ledger.vocabulary > docs/reference/events.md`"


def test_a_field_that_is_not_described_is_found() -> None:
    assert undocumented(Act.STEP_REVIEWED, ["review", "mood"]) == ["mood"]


def test_the_code_writes_no_field_that_is_not_described() -> None:
    written = [found for path in SOURCE.rglob("*.py") for found in _written(ast.parse(path.read_text("utf-8")))]
    assert {action for action, _ in written} >= {Act.RUN_STARTED, Act.RUN_FINISHED, Act.STEP_BOUND, Act.ATTEMPT_STARTED}
    unknown = {(action.value, name) for action, names in written for name in undocumented(action, names)}
    assert not unknown


def _written(tree: ast.Module) -> Iterator[tuple[Act, list[str]]]:
    """Find `….event(Act.X, data)` and the literal keys of `data`, following names and functions of the same file."""
    returned = {
        node.name: keys
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for leaf in ast.walk(node)
        if isinstance(leaf, ast.Return) and (keys := _keys(leaf.value)) is not None
    }
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        named = {
            target.id: keys
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and (keys := _keys(node.value)) is not None
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(function):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "event"):
                continue
            action = call.args[0] if call.args else None
            if not (isinstance(action, ast.Attribute) and action.attr in Act.__members__) or len(call.args) < 2:
                continue
            keys = _keys(call.args[1]) or _followed(call.args[1], named, returned)
            if keys is not None:
                yield Act[action.attr], keys


def _followed(data: ast.expr, named: dict[str, list[str]], returned: dict[str, list[str]]) -> list[str] | None:
    match data:
        case ast.Name(id=name):
            return named.get(name)
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return returned.get(name)
        case _:
            return None


def _keys(data: ast.expr | None) -> list[str] | None:
    if not isinstance(data, ast.Dict):
        return None
    return [key.value for key in data.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
