"""Laws of labels: a label only ever grows, and a planted card or address is found in any surroundings."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fakes import request
from shoal.core.label import Label
from shoal.labels.detector import is_personal, passes_luhn
from shoal.labels.labels import Labels

countries = st.frozensets(st.sampled_from(("KR", "CN", "DE")))
label = st.builds(Label, subjects=countries, tags=countries, personal=st.booleans(), minor=st.booleans())
around = st.text(st.characters(codec="utf-8", exclude_characters="@"), max_size=20).filter(
    lambda text: not any(c.isascii() and (c.isalnum() or c in ".,- ") for c in text) and text.isprintable()
)
digits = st.lists(st.integers(0, 9), min_size=14, max_size=14)


@given(st.text(), label)
def test_a_label_covers_what_was_declared(text: str, declared: Label) -> None:
    asked = request(text)
    found = Labels().of(replace(asked, prompt=replace(asked.prompt, label=declared)))
    assert found.covers(declared)
    about_people = declared.personal or declared.sensitive or declared.credit_info or declared.minor
    assert found.personal == (about_people or is_personal(text))


@given(around, around, digits)
def test_a_card_is_found_whatever_stands_beside_it(before: str, after: str, middle: list[int]) -> None:
    body = [4, *middle]
    check = next(d for d in range(10) if passes_luhn([*body, d]))
    number = "".join(map(str, [*body, check]))
    wide = str.maketrans("０１２３４５６７８９", "0123456789")
    if any(c in "．，－０１２３４５６７８９" for c in (before[-1:] + after[:1])):
        return  # a longer number, in full-width digits
    assert is_personal(f"{before}{number}{after}".translate(wide))


@given(around, around)
def test_an_address_is_found_whatever_stands_beside_it(before: str, after: str) -> None:
    if after[:1] in "．－０１２３４５６７８９＠" and after:
        return
    assert is_personal(f"{before}taro@example.jp{after}")
