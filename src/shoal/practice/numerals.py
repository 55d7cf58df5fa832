"""Numerals: how a whole number up to 99,999 is written in words, in ten languages.

Knows spelling, for those who write questions and check answers. What answers questions (the transformer, the
server, the planner) must never import this file: that is what keeps the practice pool honest, and a test holds it.
Eight languages come from num2words, loaded only when the first of them is spelled; Chinese and Hindi, which it
lacks, are spelled by the tables below.
"""

import unicodedata
from functools import lru_cache

LANGUAGES = ("ja", "ko", "zh", "hi", "ar", "vi", "th", "id", "fr", "en")

_ZH_DIGITS = "零一二三四五六七八九"
_ZH_UNITS = ((10_000, "万"), (1_000, "千"), (100, "百"), (10, "十"))

# Hindi has a word of its own for every number below a hundred.
_HI_BELOW_HUNDRED = """
शून्य एक दो तीन चार पाँच छह सात आठ नौ
दस ग्यारह बारह तेरह चौदह पन्द्रह सोलह सत्रह अठारह उन्नीस
बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस
तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस
चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास
पचास इक्यावन बावन तिरेपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ
साठ इकसठ बासठ तिरेसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर
सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी
अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी
नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे
""".split()

# num2words gives the Arabic duals in the form that needs a following noun; standing alone they take a final nun.
_AR_STANDING_ALONE = {"مئتا": "مئتان", "ألفا": "ألفان"}


@lru_cache(maxsize=1 << 20)
def spell(number: int, language: str) -> str:
    """Write `number` (0 to 99,999) in the words of `language`, in Unicode's composed form.

    Raises:
        ValueError: the number or the language is outside what the practice pool speaks.
    """
    if not 0 <= number <= 99_999:
        raise ValueError(f"cannot spell {number}: the practice pool speaks of 0 to 99,999")
    if language == "zh":
        words = _spell_chinese(number)
    elif language == "hi":
        words = _spell_hindi(number)
    elif language in LANGUAGES:
        words = _spell_by_library(number, language)
    else:
        raise ValueError(f"cannot spell in `{language}`: choose one of {', '.join(LANGUAGES)}")
    return unicodedata.normalize("NFC", words)


def _spell_chinese(number: int) -> str:
    if number < 10:
        return _ZH_DIGITS[number]
    words, skipped = "", False
    for size, unit in _ZH_UNITS:
        digit, number = divmod(number, size)
        if digit == 0:
            skipped = skipped or bool(words)
            continue
        if skipped:
            words, skipped = words + "零", False
        if unit == "十" and digit == 1 and not words:
            words += unit  # ten to nineteen start with the bare unit
        else:
            words += ("两" if digit == 2 and size >= 1_000 else _ZH_DIGITS[digit]) + unit
    if number:
        words += ("零" if skipped else "") + _ZH_DIGITS[number]
    return words


def _spell_hindi(number: int) -> str:
    thousands, rest = divmod(number, 1_000)
    hundreds, rest = divmod(rest, 100)
    words = []
    if thousands:
        words += [_HI_BELOW_HUNDRED[thousands], "हज़ार"]
    if hundreds:
        words += [_HI_BELOW_HUNDRED[hundreds], "सौ"]
    if rest or not words:
        words.append(_HI_BELOW_HUNDRED[rest])
    return " ".join(words)


def _spell_by_library(number: int, language: str) -> str:
    from num2words import num2words

    words = str(num2words(number, lang=language))
    if language == "ar":
        words = " ".join(_AR_STANDING_ALONE.get(word, word) for word in words.split())
    return words
