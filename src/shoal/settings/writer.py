"""Writes shoal.toml: a first one, and new providers appended to one that is there.

Text is only ever appended, so an operator's comments and order stay. The new text is checked as a whole before it
takes the old one's place, in one step.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from shoal.core.errors import SetupError
from shoal.settings.document import Loaded, check_text

STARTER = """\
# Shoal's settings. What is not written here holds by default; `shoal config check` reads this file.
# No key stands here: name the environment variable (`key_env`) or the file (`key_file`) that holds it.

[instance]
{country}
[policy]
# Selectors: host:US  operator-country:US  developer-country:CN  country:US  provider:X  model:X  open-weights ...
# allow = ["country:KR"]
# deny = ["!open-weights"]
default = "{default}"  # what holds where no selector speaks: "permit" or "deny"
"""


def write_starter(path: Path, *, country: str | None = None, default: str = "permit") -> Loaded:
    """Write a first shoal.toml and return it as loaded.

    Raises:
        SetupError: there is a file already, or it cannot be written.
    """
    if path.exists():
        raise SetupError(f"{path}: there already; `shoal add PROVIDER` adds to it")
    said = f"country = {_text(country)}\n" if country else '# country = "KR"  # where this machine stands\n'
    return _replace(path, STARTER.format(country=said, default=default))


def add_provider(
    path: Path,
    provider_id: str,
    places: Sequence[str] = (),
    models: Sequence[str] = (),
    *,
    key_env: str | None = None,
    key_file: str | None = None,
    base_url: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Loaded:
    """Append a provider to a settings file, which is made if there is none, and return it as loaded.

    Raises:
        SetupError: the provider is there already at one of these places, or the result would not hold.
    """
    old = ""
    if path.exists():
        old = path.read_text(encoding="utf-8")
        known = check_text(old, path)
        for row in known.settings.provider:
            if row.id == provider_id and (not places or not row.places or set(places) & set(row.places)):
                raise SetupError(f"{path}: `{provider_id}` is there already; edit its table to change it")
    lines = ["[[provider]]", f"id = {_text(provider_id)}"]
    if places:
        lines.append(f"places = [{', '.join(map(_text, places))}]")
    if models:
        lines.append(f"models = [{', '.join(map(_text, models))}]")
    for key, value in (("key_env", key_env), ("key_file", key_file), ("base_url", base_url)):
        if value is not None:
            lines.append(f"{key} = {_text(value)}")
    if variables:
        inside = ", ".join(f"{name} = {_text(value)}" for name, value in variables.items())
        lines.append(f"variables = {{ {inside} }}")
    gap = "" if not old else "\n" if old.endswith("\n") else "\n\n"
    return _replace(path, old + gap + "\n".join(lines) + "\n")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace(path: Path, text: str) -> Loaded:
    """Check a text and put it in a file's place in one step, keeping the file's permissions."""
    loaded = check_text(text, path)
    target = path.resolve()  # a link keeps pointing where it does
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; choose another file with `--config`") from None
    return loaded
