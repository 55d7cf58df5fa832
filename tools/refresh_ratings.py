"""Regenerates the catalogue's ratings from a table of public ratings.

    tools/refresh_ratings.py ratings.csv --as-of 2025-12-17 --source URL

Reads `model,category,rating,...` and keeps, for catalogue models that the table knows by the same name, one number
per category the catalogue uses, rounded to five points. Nothing else of the table is kept.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from shoal.catalogue.loader import DIRECTORY, load_facts
from shoal.catalogue.rows import ModelRow

LANGUAGES = ("chinese", "english", "french", "german", "japanese", "korean", "russian", "spanish")
SUBJECTS = ("overall", "coding", "math", "creative_writing", "instruction_following")
CATEGORIES = SUBJECTS + LANGUAGES
STEP = 5
# Rounding adds at most 2.5 points; most 95 % intervals of the snapshot are narrower than this, and the table is old.
UNCERTAINTY = 15
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2})$")
_WEIGHTS = re.compile(r"-(bf16|fp8)$")


def normal(name: str) -> str:
    """Return a model's name without developer, case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower().rpartition("/")[2])


def row_for(model: ModelRow, names: Iterable[str]) -> str | None:
    """Return the table's name for a catalogue model: the same name first, then its newest date or weight format."""
    ours = [normal(model.id), *(normal(via.model) for via in model.via)]
    names = sorted(names)
    for wanted in ours:
        for name in names:
            if normal(name) == wanted:
                return name
    for suffix in (_DATED, _WEIGHTS):
        close = [name for name in names if suffix.search(name) and normal(suffix.sub("", name)) == ours[0]]
        if close:
            return max(close)
    return None


def read_table(file: Path) -> dict[str, dict[str, float]]:
    """Return model -> category -> rating of a table."""
    table: dict[str, dict[str, float]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            table.setdefault(row["model"], {})[row["category"]] = float(row["rating"])
    return table


def choose(table: Mapping[str, Mapping[str, float]], models: Mapping[str, ModelRow]) -> dict[str, dict[str, int]]:
    """Return catalogue model -> category -> rounded rating."""
    chosen: dict[str, dict[str, int]] = {}
    for name in sorted(models):
        row = row_for(models[name], table)
        if row is None:
            continue
        values = {c: STEP * round(table[row][c] / STEP) for c in CATEGORIES if c in table[row]}
        if values:
            chosen[name] = values
    return chosen


def write(chosen: Mapping[str, Mapping[str, int]], as_of: datetime.date, sources: Iterable[str]) -> str:
    """Return the text of ratings.toml."""
    lines = [
        "# Human-preference ratings on an Elo scale, style control on, rounded to five points: preference, not truth.",
        "# `tools/refresh_ratings.py` writes this file; `uncertainty` is how far off each number may be.",
        "",
        f"as_of = {as_of.isoformat()}",
        "source = [" + ", ".join(f'"{source}"' for source in sources) + "]",
        f"uncertainty = {UNCERTAINTY}",
        "",
        "[rating]",
    ]
    for model, values in chosen.items():
        inside = ", ".join(f"{category} = {value}" for category, value in values.items())
        lines.append(f'"{model}" = {{ {inside} }}')
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write ratings.toml from the named table and say how many models it rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--as-of", type=datetime.date.fromisoformat, required=True, help="the table's date")
    parser.add_argument("--source", action="append", required=True, help="where the table is published")
    parser.add_argument("--out", type=Path, default=DIRECTORY / "ratings.toml")
    options = parser.parse_args(arguments)
    chosen = choose(read_table(options.table), load_facts().models)
    options.out.write_text(write(chosen, options.as_of, options.source), encoding="utf-8")
    print(f"{options.out}: {len(chosen)} models, {sum(map(len, chosen.values()))} ratings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
