"""Writes docs/reference/settings.md from the descriptions in the settings themselves.

tools/settings_reference.py            write the page
tools/settings_reference.py --check    say whether it is up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from shoal.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
OPENING = """\
# Settings

One file, `shoal.toml`. It is looked for in this order: `--config`, the variable `SHOAL_CONFIG`, the working folder,
the user's configuration folder (`$XDG_CONFIG_HOME/shoal` or `~/.config/shoal`). Without one every default below
holds. `shoal config check` reads it and says what is wrong, with file, line and key.

No secret stands in this file: it names the environment variable or the file that holds one. An unknown key is an
error. State is kept in `SHOAL_STATE`, or `$XDG_DATA_HOME/shoal`, or `~/.local/share/shoal`.
`SHOAL_DEBUG=1` shows a fault of Shoal's own in full instead of in one line.

This page is made by `tools/settings_reference.py`.
"""


def page() -> str:
    """Return the whole page."""
    hints = get_type_hints(Settings, include_extras=True)
    parts = [OPENING]
    for name in Settings.__struct_fields__:
        shape = _struct(hints[name])
        many = get_origin(hints[name]) is tuple
        parts.append("\n".join(_section(f"[[{name}]]" if many else f"[{name}]", shape)))
    return "\n".join(parts)


def _section(title: str, shape: type[msgspec.Struct]) -> Iterator[str]:
    yield f"## `{title}`"
    yield ""
    yield _first_line(shape)
    yield ""
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    hints = get_type_hints(shape, include_extras=True)
    for field in msgspec.structs.fields(shape):
        cells = (f"`{field.name}`", _kind(hints[field.name]), _default(field), description(hints[field.name]))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def description(hint: Any) -> str:
    """Return what a setting is for.

    Raises:
        LookupError: nobody has written it down.
    """
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    raise LookupError(f"a setting of type {hint} has no description")


def _first_line(shape: type[msgspec.Struct]) -> str:
    return (shape.__doc__ or "").strip().splitlines()[0]


def _struct(hint: Any) -> type[msgspec.Struct]:
    return next(t for t in (hint, *get_args(hint)) if isinstance(t, type) and issubclass(t, msgspec.Struct))


def _kind(hint: Any) -> str:
    """Return a type in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(inside[0])
    if origin in (Union, UnionType):
        return " or ".join(_kind(part) for part in inside if part is not NoneType)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in inside)
    if origin is tuple:
        return f"list of {_kind(inside[0])}"
    if origin is dict:
        return f"table of {_kind(inside[1])}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "{ " + ", ".join(field.name for field in msgspec.structs.fields(hint)) + " }"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Decimal: "amount"}
    return words[hint]


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if value == () or value == {}:
        return "none"
    return f"`{value}`"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with `--check` compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args(arguments).check:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print(f"{PAGE.name} is {'up to date' if current else 'out of date; run tools/settings_reference.py'}")
        return 0 if current else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
