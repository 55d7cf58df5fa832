"""Laws of names and settings: any text a client or an operator writes has an answer, and never a surprise."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shoal.catalogue.entries import Entry
from shoal.catalogue.loader import load_facts
from shoal.catalogue.snapshot import Snapshot, build_snapshot
from shoal.core.errors import CallerError, SetupError
from shoal.settings import check_text

POOL = (Entry("deepseek"), Entry("mistral", places=("eu", "us")), Entry("sakana"), Entry("openrouter"))


@cache
def pool() -> Snapshot:
    return build_snapshot(load_facts(), POOL, instance_country="KR")


HEADS = st.sampled_from(["deepseek", "mistral", "mistral@eu", "sakana", "openrouter", "shoal", "shoal-", "", "@", "x"])
TAILS = st.sampled_from(
    ["deepseek-flash", "fugu", "fugu-ultra", "sakana/fugu-ultra", "mistral-small-2603", "", "/", "y"]
)
NAMES = st.one_of(st.text(max_size=250), st.builds(lambda head, tail: f"{head}/{tail}", HEADS, TAILS))


@given(NAMES)
def test_any_name_is_a_selection_or_the_callers_error(name: str) -> None:
    try:
        selection = pool().resolve(name)
    except CallerError as error:
        assert error.status in (400, 404)
        return
    assert selection.endpoints
    assert {endpoint.id for endpoint in selection.endpoints} <= set(pool().by_id)


@given(NAMES)
def test_a_named_model_is_never_answered_by_another(name: str) -> None:
    try:
        selection = pool().resolve(name)
    except CallerError:
        return
    if selection.named:
        for endpoint in selection.endpoints:
            exact = {endpoint.id, f"{endpoint.provider}/{endpoint.native_name}", endpoint.model.id}
            assert name in exact | {f"{endpoint.provider}@{endpoint.place}/{endpoint.native_name}"}


@given(st.text(max_size=200))
def test_any_text_is_settings_or_a_setup_error(text: str) -> None:
    try:
        check_text(text, Path("shoal.toml"))
    except SetupError as error:
        assert error.message.startswith("shoal.toml")
