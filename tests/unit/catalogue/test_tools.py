"""The tools that write the catalogue's page and its ratings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from shoal.catalogue.loader import Facts, load_facts

TOOLS = Path(__file__).parents[3] / "tools"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


def test_the_reference_is_made_from_the_facts(facts: Facts) -> None:
    reference = tool("catalogue_reference")
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(facts), "run tools/catalogue_reference.py"


def test_every_row_stands_in_the_reference(facts: Facts) -> None:
    text = tool("catalogue_reference").page(facts)
    for name in (*facts.providers, *facts.models, *facts.quirks):
        assert f"| `{name}`" in text


@pytest.mark.parametrize(
    ("model", "names", "chosen"),
    [
        ("openai/gpt-4o", ["gpt-4o-2024-05-13", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"], "gpt-4o-2024-08-06"),
        ("meta/llama-3.1-405b-instruct", ["llama-3.1-405b-instruct-fp8"], "llama-3.1-405b-instruct-fp8"),
        ("alibaba/qwen3-32b", ["Qwen3-32B", "qwen3-235b"], "Qwen3-32B"),
        ("alibaba/qwen3-32b", ["qwen3-3b", "qwen3-32b-preview"], None),
    ],
)
def test_a_rating_belongs_to_the_model_of_that_name(
    facts: Facts, model: str, names: list[str], chosen: str | None
) -> None:
    assert tool("refresh_ratings").row_for(facts.models[model], names) == chosen


def test_ratings_are_rounded_and_only_what_is_used_is_kept(facts: Facts, tmp_path: Path) -> None:
    ratings = tool("refresh_ratings")
    table = tmp_path / "table.csv"
    table.write_text(
        "model,category,rating,rating_q025,rating_q975\n"
        "qwen3-32b,japanese,1303.4,1,2\nqwen3-32b,multi_turn,1300,1,2\nunknown-9b,japanese,1200,1,2\n"
    )
    out = tmp_path / "ratings.toml"
    arguments = [str(table), "--as-of", "2026-01-02", "--source", "https://x.example", "--out", str(out)]
    assert ratings.main(arguments) == 0
    text = out.read_text()
    assert '"alibaba/qwen3-32b" = { japanese = 1305 }' in text
    assert "as_of = 2026-01-02" in text
    assert "unknown" not in text and "multi_turn" not in text
