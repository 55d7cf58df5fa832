"""Questions: number questions of one, two and three steps, their right answers, and the rule of what is right.

Knows the wordings (one table, shared with the planner), the spelling of numbers and the splits. Knows no model and
no server. Every question is drawn from a seed, and all its operands belong to the split it is asked for.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import Literal, cast, get_args

from shoal.practice.numerals import LANGUAGES, spell
from shoal.practice.splits import LARGEST, MULTIPLIERS, Split, numbers_of

Level = Literal["one", "two", "three"]
LEVELS: tuple[Level, ...] = get_args(Level)
OPERATIONS = ("add", "subtract", "multiply")
SKILLS = (*(f"read:{tag}" for tag in LANGUAGES), *(f"write:{tag}" for tag in LANGUAGES), *OPERATIONS)

_SIGNS = {"add": "+", "subtract": "-", "multiply": "×"}
# How often a number has so many digits: short ones are the alphabet, and only `fit` has numbers below 100.
_LENGTHS: Mapping[Split, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "fit": ((1, 2, 3, 4, 5), (3, 10, 24, 27, 36)),
    "card": ((3, 4, 5), (1, 1, 1)),
    "test": ((3, 4, 5), (1, 1, 1)),
}
# Arabic-Indic, Persian and full-width digits count as the digits they are.
_DIGITS = {base + digit: str(digit) for base in (0x0660, 0x06F0, 0xFF10) for digit in range(10)}


@dataclass(frozen=True, slots=True)
class Question:
    """One number question with its one right answer, and what it takes to get there."""

    prompt: str
    answer: str
    level: Level
    language: str
    skills: tuple[str, ...]
    operands: tuple[int, ...]
    split: Split


@cache
def wordings() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Give the table of wordings that planner and question writer share."""
    text = resources.files("shoal.coordinator").joinpath("phrases.toml").read_text(encoding="utf-8")
    return {tag: {key: tuple(forms) for key, forms in table.items()} for tag, table in tomllib.loads(text).items()}


def generate(seed: int, n: int, *, level: str = "mixed", split: str = "test") -> list[Question]:
    """Draw `n` questions, always the same for one seed; `mixed` holds a third of each level.

    Raises:
        ValueError: no such level or split.
    """
    if level != "mixed" and level not in LEVELS:
        raise ValueError(f"unknown level `{level}`: choose mixed, {', '.join(LEVELS)}")
    if split not in get_args(Split):
        raise ValueError(f"unknown split `{split}`: choose {', '.join(get_args(Split))}")
    random = Random(f"{seed}/{level}/{split}")
    levels = [LEVELS[i % 3] if level == "mixed" else cast(Level, level) for i in range(n)]
    random.shuffle(levels)
    return [draw(random, wanted, cast(Split, split)) for wanted in levels]


def task_questions(skill: str, split: Split, n: int, seed: int) -> list[Question]:
    """Draw `n` different one-step questions that all ask for `skill`.

    Raises:
        ValueError: the split does not hold so many.
    """
    random = Random(f"{seed}/{skill}/{split}")
    found: dict[str, Question] = {}
    for _ in range(20 * n + 100):
        if len(found) == n:
            return list(found.values())
        question = draw_skill(random, skill, split)
        found.setdefault(question.prompt, question)
    raise ValueError(f"cannot draw {n} different questions for `{skill}` from `{split}`: ask for fewer")


def draw(random: Random, level: Level, split: Split) -> Question:
    """Draw one question of `level`, its skills and language uniform."""
    if level == "one":
        return draw_skill(random, random.choice(SKILLS), split)
    language, operation = random.choice(LANGUAGES), random.choice(OPERATIONS)
    if level == "three":
        return _expression(random, operation, language, split, level, asks="ask_words")
    if random.random() < 0.5:
        return _expression(random, operation, language, split, level, asks="ask_digits")
    a, b, result = draw_operands(random, operation, split)
    form = random.choice(wordings()[language]["write"])
    prompt = form.format(d=f"{a} {_SIGNS[operation]} {b}")
    return _question(prompt, spell(result, language), level, language, (operation, f"write:{language}"), (a, b), split)


def draw_skill(random: Random, skill: str, split: Split) -> Question:
    """Draw one one-step question that asks for `skill`."""
    if skill in OPERATIONS:
        table = wordings()["digits"]
        a, b, result = draw_operands(random, skill, split)
        expression = random.choice(table[skill]).format(a=a, b=b)
        return _question(
            random.choice(table["ask"]).format(e=expression), str(result), "one", "digits", (skill,), (a, b), split
        )
    return ask_number(random, skill, draw_number(random, split), split)


def ask_number(random: Random, skill: str, number: int, split: Split) -> Question:
    """Ask to read or write `number`, in one of the wordings of the skill's language."""
    kind, language = skill.split(":")
    form = random.choice(wordings()[language][kind])
    words, digits = spell(number, language), str(number)
    prompt, answer = (form.format(w=words), digits) if kind == "read" else (form.format(d=digits), words)
    return _question(prompt, answer, "one", language, (skill,), (number,), split)


def draw_number(random: Random, split: Split) -> int:
    """Draw a number of `split`, lengths first, so that short numbers are not drowned by five-digit ones."""
    lengths, weights = _LENGTHS[split]
    return random.choice(numbers_of(split)[random.choices(lengths, weights)[0]])


def draw_operands(random: Random, operation: str, split: Split) -> tuple[int, int, int]:
    """Draw two operands of `split` and their result, which stays between 0 and 99,999."""
    while True:
        a = draw_number(random, split)
        b = random.choice(MULTIPLIERS) if operation == "multiply" else draw_number(random, split)
        if operation == "subtract" and a < b:
            a, b = b, a
        result = a + b if operation == "add" else a - b if operation == "subtract" else a * b
        if result <= LARGEST:
            return a, b, result


def check_prompt(prompt: str, answer: str) -> str:
    """Ask a verifier whether `answer` answers `prompt`; it replies ACCEPT or REVISE."""
    return f"CHECK\n{prompt}\n{answer}"


def is_right(question: Question | str, reply: str) -> bool:
    """Say whether `reply` is the answer: exact but for outer space, runs of space, Unicode form and digit script."""
    answer = question if isinstance(question, str) else question.answer
    return _folded(answer) == _folded(reply)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).translate(_DIGITS).split())


def _expression(random: Random, operation: str, language: str, split: Split, level: Level, *, asks: str) -> Question:
    a, b, result = draw_operands(random, operation, split)
    table = wordings()[language]
    expression = random.choice(table[operation]).format(a=spell(a, language), b=spell(b, language))
    skills: tuple[str, ...] = (f"read:{language}", f"read:{language}", operation)
    if asks == "ask_words":
        skills, answer = (*skills, f"write:{language}"), spell(result, language)
    else:
        answer = str(result)
    return _question(random.choice(table[asks]).format(e=expression), answer, level, language, skills, (a, b), split)


def _question(
    prompt: str,
    answer: str,
    level: Level,
    language: str,
    skills: tuple[str, ...],
    operands: tuple[int, ...],
    split: Split,
) -> Question:
    return Question(unicodedata.normalize("NFC", prompt), answer, level, language, skills, operands, split)
