"""The roster: who is in the practice pool, where, at what price, and where their weights lie.

Knows the rows of roster.toml and nothing of arithmetic: loading it costs no NumPy. All names, developers, operators
and prices in it are made up, and say so.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One practice model as the pool offers it; its country is that of host, operator and developer alike."""

    id: str
    developer: str
    operator: str
    country: str
    licence: str
    open_weights: bool
    price_in_usd: Decimal  # per million tokens
    price_out_usd: Decimal
    params: int
    weights: str
    roles: tuple[str, ...]
    skills: tuple[str, ...]
    note: str = ""

    def weights_path(self) -> Path:
        """Say where the weights of this model lie."""
        return Path(str(resources.files("shoal.practice").joinpath("weights", self.weights)))


@cache
def members() -> Mapping[str, Member]:
    """Load the roster, by id, in the order of the file."""
    text = resources.files("shoal.practice").joinpath("roster.toml").read_text(encoding="utf-8")
    rows = msgspec.convert(tomllib.loads(text, parse_float=Decimal)["model"], list[Member], strict=False)
    return {row.id: row for row in rows}


def member(model_id: str) -> Member:
    """Give one row of the roster.

    Raises:
        KeyError: no such model; the message lists those there are.
    """
    if model_id not in members():
        raise KeyError(f"no practice model `{model_id}`: choose one of {', '.join(members())}")
    return members()[model_id]
