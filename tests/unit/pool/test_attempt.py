"""One attempt: what a provider says of it is told without the key it was called with."""

from __future__ import annotations

import pytest

from shoal.pool.attempt import without_key

KEY = "hunterCANARY2"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("incorrect key hunterCANARY2", "incorrect key ***"),
        ("key `hunterCANARY2` (code `hunterCANARY2`)", "key `***` (code `***`)"),
        ("xhunterCANARY2y", "x***y"),
        ("cut off: hunterCANA", "cut off: ***"),
        ("the hunter is no key", "the hunter is no key"),
    ],
)
def test_words_that_repeat_the_key_lose_it(said: str, told: str) -> None:
    assert without_key(said, KEY) == told


@pytest.mark.parametrize("key", [None, "", "x"])
def test_where_there_is_no_real_key_words_stay(key: str | None) -> None:
    assert without_key("an x in the text", key) == "an x in the text"
