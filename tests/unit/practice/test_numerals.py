"""Numerals against well-known spellings, and the promise that no two numbers are spelled alike."""

import unicodedata

import pytest

from shoal.practice.numerals import LANGUAGES, spell


@pytest.mark.parametrize(
    ("number", "language", "words"),
    [
        (0, "zh", "零"),
        (10, "zh", "十"),
        (15, "zh", "十五"),
        (110, "zh", "一百一十"),
        (105, "zh", "一百零五"),
        (1005, "zh", "一千零五"),
        (1050, "zh", "一千零五十"),
        (10_005, "zh", "一万零五"),
        (10_500, "zh", "一万零五百"),
        (22_222, "zh", "两万两千二百二十二"),
        (0, "hi", "शून्य"),
        (29, "hi", "उनतीस"),
        (99, "hi", "निन्यानवे"),
        (325, "hi", "तीन सौ पच्चीस"),
        (50_001, "hi", "पचास हज़ार एक"),
        (325, "ja", "三百二十五"),
        (342, "ko", "삼백사십이"),
        (91, "fr", "quatre-vingt-onze"),
        (325, "en", "three hundred and twenty-five"),
        (200, "ar", "مئتان"),
        (325, "vi", "ba trăm hai mươi lăm"),
        (21, "th", "ยี่สิบเอ็ด"),
        (1100, "id", "seribu seratus"),
    ],
)
def test_well_known_numbers_are_spelled_as_people_spell_them(number: int, language: str, words: str) -> None:
    assert spell(number, language) == unicodedata.normalize("NFC", words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_numbers_share_a_spelling(language: str) -> None:
    numbers = [*range(1_200), *range(1_200, 100_000, 37)]
    assert len({spell(number, language) for number in numbers}) == len(numbers)


@pytest.mark.parametrize(("number", "language"), [(-1, "ja"), (100_000, "ja"), (5, "xx")])
def test_what_the_pool_does_not_speak_is_refused(number: int, language: str) -> None:
    with pytest.raises(ValueError, match="cannot spell"):
        spell(number, language)
