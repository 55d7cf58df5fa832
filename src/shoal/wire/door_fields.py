"""Fields of a client's body, checked one by one.

Knows JSON kinds and bounds, and how to say what is wrong: the path of the field, what was found, what is expected.
Knows no field by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from shoal.core.errors import CallerError

MAX_DEPTH = 64
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*"')
_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def refuse(param: str, expected: str) -> CallerError:
    """Return the error that names a field and what it has to be."""
    return CallerError(f"`{param}` {expected}", param=param)


def kind_of(value: Any) -> str:
    """Return the JSON kind of a value, in words."""
    return _KINDS.get(type(value), "a number")


def object_in(body: bytes) -> dict[str, Any]:
    """Return the object a body is.

    Raises:
        CallerError: it is not JSON (RFC 8259: no NaN, no lone surrogate, valid UTF-8), no object, or nested too deep.
    """
    # Before parsing: millions of nested lists cost seconds to build and are refused anyway.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deep(body):
        raise CallerError(f"the body is nested deeper than {MAX_DEPTH} levels")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CallerError(f"the body is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise CallerError(f"the body has to be a JSON object, found {kind_of(found)}")
    return found


def _is_deep(body: bytes) -> bool:
    """Return whether JSON is nested too deep, judged by its brackets alone and in bounded time."""
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
    for _ in range(4):  # wide and flat bodies melt away here, at the speed of C
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    depth = 4
    for code in brackets:
        if code in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        else:
            depth -= 1
    return False


def text(fields: Mapping[str, Any], name: str, *, longest: int, param: str | None = None) -> str | None:
    """Return an optional short string without control characters."""
    value = fields.get(name)
    if value is None:
        return None
    param = param or name
    if not isinstance(value, str) or not value:
        raise refuse(param, f"has to be a non-empty string, found {kind_of(value)}")
    if len(value) > longest or not value.isprintable():
        raise refuse(param, f"has to be at most {longest} characters without control characters")
    return value


def flag(fields: Mapping[str, Any], name: str, *, param: str | None = None) -> bool | None:
    """Return an optional boolean."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise refuse(param or name, f"has to be true or false, found {kind_of(value)}")


def whole(fields: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """Return an optional whole number within bounds; 16.0 counts as 16."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise refuse(name, f"has to be a whole number from {low} to {high}")
    return value


def number(fields: Mapping[str, Any], name: str, low: float, high: float, *, param: str | None = None) -> float | None:
    """Return an optional number within bounds."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise refuse(param or name, f"has to be a number from {low:g} to {high:g}")
    return float(value)


def listed(value: Any, param: str, most: int) -> list[Any]:
    """Return an array of at most `most` entries; null counts as empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise refuse(param, f"has to be an array, found {kind_of(value)}")
    if len(value) > most:
        raise refuse(param, f"has {len(value)} entries; at most {most} are taken")
    return value


def mapped(value: Any, param: str) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise refuse(param, f"has to be an object, found {kind_of(value)}")
    return value
