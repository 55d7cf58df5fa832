"""Where settings and state live: the user's folders, and the order in which shoal.toml is looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from shoal.core.errors import SetupError

FILE_NAME = "shoal.toml"
CONFIG_VARIABLE = "SHOAL_CONFIG"
STATE_VARIABLE = "SHOAL_STATE"


def config_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's configuration folder for Shoal; it need not exist."""
    return _user_dir("XDG_CONFIG_HOME", ".config", environ)


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's data folder for Shoal; it need not exist."""
    env = os.environ if environ is None else environ
    return (
        Path(env[STATE_VARIABLE]).expanduser()
        if env.get(STATE_VARIABLE)
        else _user_dir("XDG_DATA_HOME", ".local/share", env)
    )


def find_file(config: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the settings file: `config`, then SHOAL_CONFIG, then ./shoal.toml, then the user's; None if there is none.

    Raises:
        SetupError: a file was named and is not there.
    """
    env = os.environ if environ is None else environ
    for named, source in ((config, "--config"), (env.get(CONFIG_VARIABLE), CONFIG_VARIABLE)):
        if named:
            path = Path(named).expanduser()
            if not path.is_file():
                raise SetupError(f"{source}: there is no file `{path}`; `shoal init` writes one")
            return path
    for path in (Path(FILE_NAME), config_dir(env) / FILE_NAME):
        if path.is_file():
            return path
    return None


def new_file(config: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return where settings are to be written: the file in use, else the one that was named, else ./shoal.toml."""
    env = os.environ if environ is None else environ
    named = config or env.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    return find_file(None, env) or Path(FILE_NAME)


def _user_dir(variable: str, fallback: str, environ: Mapping[str, str] | None) -> Path:
    env = os.environ if environ is None else environ
    base = env.get(variable)
    if base and Path(base).is_absolute():  # the XDG rule: a relative path there is to be ignored
        return Path(base) / "shoal"
    home = env.get("HOME")
    return (Path(home) if home else Path.home()) / fallback / "shoal"
