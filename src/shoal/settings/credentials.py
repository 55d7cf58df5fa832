"""Secrets: how one is looked up by name, and how one that was written into the settings is recognised.

A name is an environment variable, or `file:PATH`. A secret's text never enters an error, a warning or a log line.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shoal.catalogue.checks import VARIABLE
from shoal.core.errors import SetupError

FILE_PREFIX = "file:"
MAX_SECRET_BYTES = 16_384
_SECRET_KEYS = re.compile(
    r"(api[_-]?|access[_-]?|secret[_-]?|auth[_-]?)?(key|token|secret|password|passwd|authorization)s?"
)
_NAMING_KEYS = frozenset({"keys"})  # holds names of secrets, never a secret
_PREFIXES = "sk|pk|gsk|hf|xai|rk|nvapi|ghp|gho|glpat|AKIA|ya29|pplx|tgp|fw"
_SHAPES = re.compile(rf"(?i:bearer )\S+|({_PREFIXES})[-_][A-Za-z0-9_-]{{8,}}.*|AIza\S{{20,}}|bce-v3/\S+")
_DENSE = re.compile(r"[A-Za-z0-9+_=.-]{32,}")


class SecretWarning(UserWarning):
    """A file with a secret can be read by others."""


def secret(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the secret of that name, or None where there is none.

    Raises:
        SetupError: the file named is not readable or holds no usable text.
    """
    if name.startswith(FILE_PREFIX):
        return _from_file(Path(name.removeprefix(FILE_PREFIX)).expanduser())
    env = os.environ if environ is None else environ
    return (env.get(name) or "").strip() or None


def name_fault(name: str) -> str | None:
    """Return why a text cannot name a secret, or None; the text itself is not repeated."""
    if name.startswith(FILE_PREFIX):
        return None if len(name) > len(FILE_PREFIX) else "`file:` is followed by a path"
    if VARIABLE.fullmatch(name) and not looks_secret(name):
        return None
    return "this is the name of an environment variable (capitals, digits, `_`) or `file:PATH`, never a key itself"


def looks_secret(text: str) -> bool:
    """Return whether a text looks like a key: a known prefix, or long and dense with mixed characters."""
    if _SHAPES.fullmatch(text):
        return True
    mixed = any(c.isdigit() for c in text) and any(c.islower() for c in text) and any(c.isupper() for c in text)
    return bool(_DENSE.fullmatch(text)) and mixed


def written_secrets(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Say where a secret seems to stand in the settings themselves."""
    for key, value in data.items():
        here = f"{path}.{key}" if path else key
        if _SECRET_KEYS.fullmatch(key.casefold()) and not (key in _NAMING_KEYS and isinstance(value, list)):
            yield (
                here,
                "a secret does not stand in this file; put it into an environment variable and name that as "
                "`key_env`, or into a file of your own and name that as `key_file`",
            )
        elif isinstance(value, Mapping):
            yield from written_secrets(value, here)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from written_secrets(item, f"{here}[{index}]")
                elif isinstance(item, str) and looks_secret(item):
                    yield f"{here}[{index}]", _LOOKS
        elif isinstance(value, str) and looks_secret(value):
            yield here, _LOOKS


_LOOKS = (
    "this looks like a key; put it into an environment variable or a file of your own and write its name here "
    "(`key_env`, `key_file`)"
)


def _from_file(path: Path) -> str | None:
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            content = handle.read(MAX_SECRET_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SetupError(f"secret file `{path}`: {error.strerror}; check its owner and permissions") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        warnings.warn(f"`{path}` can be read by others; `chmod 600 {path}` closes it", SecretWarning, stacklevel=3)
    if len(content) > MAX_SECRET_BYTES:
        raise SetupError(f"secret file `{path}` is over {MAX_SECRET_BYTES} bytes; it should hold one key and no more")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SetupError(f"secret file `{path}` is not text") from None
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise SetupError(f"secret file `{path}` has several lines or control characters; it should hold one key")
    return text or None
