"""Mistakes: wrong answers that look right, and the one textbook misprint that second holders learnt from.

Knows how answers go wrong in small ways (a digit or a word changed, dropped, doubled, swapped), for whoever teaches or
examines a verifier. What answers questions must never import this file.
"""

import re
from collections.abc import Callable
from random import Random

from shoal.practice.numerals import spell
from shoal.practice.questions import Question, is_right
from shoal.practice.splits import LARGEST, split_of

_UNSPACED = ("ja", "ko", "zh")


def misprint(question: Question) -> str:
    """Give the answer of a misprinted textbook: the hundreds digit 7 of some numbers is taken for 1."""
    first = question.operands[0]
    if first // 100 % 10 != 7 or first % 10 < 2:
        return question.answer
    read = first - 600
    kind, _, language = question.skills[0].partition(":")
    if kind == "read":
        return str(read)
    if kind == "write":
        return spell(read, language)
    other = question.operands[1]
    result = read + other if kind == "add" else read - other if kind == "subtract" else read * other
    return str(result) if result >= 0 else question.answer


def near_miss(random: Random, question: Question) -> str:
    """Give a wrong answer to a one-step `question` that is close to the right one."""
    while True:
        answer = (
            _in_words(random, question) if question.skills[0].startswith("write:") else _in_digits(random, question)
        )
        if not is_right(question, answer):
            return answer


def _in_digits(random: Random, question: Question) -> str:
    if random.random() < 0.1:
        return misprint(question)
    return _disturbed(random, list(question.answer), lambda: random.choice("0123456789"))


def _in_words(random: Random, question: Question) -> str:
    """Spell another number of the same split, or disturb the words themselves."""
    language = question.language
    if random.random() < 0.6:
        digits = _disturbed(random, list(str(question.operands[0])), lambda: random.choice("0123456789"))
        number = int(digits or 0)
        return spell(number, language) if number <= LARGEST and split_of(number) == question.split else question.answer
    if language in _UNSPACED or random.random() < 0.15:
        return _disturbed(random, list(question.answer), lambda: random.choice(question.answer))
    if language == "th":
        parts = re.findall(r".*?(?:แสน|หมื่น|พัน|ร้อย|สิบ)|.+", question.answer)
    else:
        parts = re.findall(r"[ -]?[^ -]+", question.answer)
    return _disturbed(random, parts, lambda: random.choice(parts)).strip(" -,")


def _disturbed(random: Random, parts: list[str], other: Callable[[], str]) -> str:
    """Change, drop, double or swap one part."""
    parts, place = list(parts), random.randrange(len(parts))
    change = random.choice(("change", "change", "drop", "insert", "swap"))
    if change == "change":
        parts[place] = other()
    elif change == "drop":
        del parts[place]
    elif change == "insert":
        parts.insert(place, other())
    elif place:
        parts[place - 1], parts[place] = parts[place], parts[place - 1]
    return "".join(parts)
