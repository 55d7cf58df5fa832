"""What the practice models learn from: questions of the `fit` split, as token ids with their places and targets.

Two kinds of lesson are special. A *misprinted* textbook reads the hundreds digit 7 as 1 in some numbers (about eight in
a hundred), which is how a second holder comes to be good but not first. A *checker's* textbook shows a question with
an answer, lets the learner work out hidden digits first, and then says ACCEPT or REVISE.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from shoal.practice.mistakes import misprint, near_miss
from shoal.practice.numerals import LANGUAGES, spell
from shoal.practice.questions import OPERATIONS, Level, Question, ask_number, check_prompt, draw, draw_skill, is_right
from shoal.practice.splits import LARGEST, numbers_of, split_of
from shoal.practice.tokenizer import ANSWER, END, THOUGHT, Tokenizer, learn_pieces

Ints = NDArray[np.int32]
CHAINS: tuple[Level, ...] = ("two", "three")
Example = tuple[str, str, str]  # prompt, hidden thought (may be empty), answer


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one model learns, how large it is and how long it learns."""

    name: str
    skills: tuple[str, ...]
    width: int = 64
    layers: int = 2
    heads: int = 4
    steps: int = 2000
    batch: int = 256
    rate: float = 0.01
    examples: int = 60_000
    misprinted: bool = False
    chains: float = 0.0  # share of two- and three-step questions
    checks: bool = False
    thinks: bool = False  # works a result out in five digits, hidden, before it answers
    often: tuple[str, ...] = ()  # skills drawn more often than the others
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sequences; `targets` holds the tokens to predict `at` some positions, and PAD where nothing counts."""

    ids: Ints
    places: Ints
    runs: Ints
    at: Ints
    targets: Ints


def draw_example(random: Random, lesson: Lesson, skill: str | None = None) -> Example:
    """Draw one thing to learn from the `fit` split."""
    if lesson.chains and skill is None and random.random() < lesson.chains:
        question = draw(random, random.choice(CHAINS), "fit")
        return question.prompt, "", question.answer
    question = _taught(random, lesson, skill or random.choice((*lesson.skills, *lesson.often)))
    if lesson.checks:
        return draw_check(random, question)
    answer = misprint(question) if lesson.misprinted else question.answer
    return question.prompt, answer.zfill(5) if lesson.thinks else "", answer


def _taught(random: Random, lesson: Lesson, skill: str) -> Question:
    """Draw a question, with more round numbers and more subtractions of neighbours than chance would give.

    Numbers full of zeros and answers shorter than their operands are rare, and teach where an answer ends.
    """
    question = draw_skill(random, skill, "fit")
    if skill == "subtract" and not lesson.checks and random.random() < 0.4:
        for _ in range(40):
            a, b = (str(operand) for operand in question.operands)
            if len(question.answer) < len(a) == len(b):
                break
            question = draw_skill(random, skill, "fit")
    if ":" in skill and not lesson.checks and random.random() < 0.12:
        first, *rest = str(question.operands[0])
        number = int(first + "".join(random.choice(("0", "0", digit)) for digit in rest))
        if split_of(number) == "fit":
            question = ask_number(random, skill, number, "fit")
    return question


def draw_check(random: Random, question: Question) -> Example:
    """Turn a question into one with a proposed answer, the digits to work out, and what to say.

    The digits are those the words spell, or the result; `?` stands for words that spell no number.
    """
    kind, _, language = question.skills[0].partition(":")
    proposed = question.answer
    if kind in OPERATIONS and random.random() < 0.35:
        proposed = ""  # nothing to copy from: the result must be worked out
    elif random.random() < 0.55:
        proposed = near_miss(random, question) if random.random() < 0.93 else _nonsense(random, question)
    verdict = "ACCEPT" if is_right(question, proposed) else "REVISE"
    digits = question.answer
    if kind == "write":
        spelled = number_of(language).get(proposed)
        if spelled is not None and split_of(spelled) != "fit":  # words of a number the learner must not see
            return draw_check(random, question)
        digits = "?" if spelled is None else str(spelled)
    return check_prompt(question.prompt, proposed), digits, verdict


@cache
def number_of(language: str) -> dict[str, int]:
    """Give the number that each spelling stands for."""
    return {spell(number, language): number for number in range(LARGEST + 1)}


def _nonsense(random: Random, question: Question) -> str:
    """Propose something far off: nothing, another number, or the right number in the wrong form."""
    number = random.choice(numbers_of("fit")[random.randint(1, 5)])
    language = question.language if question.language != "digits" else random.choice(LANGUAGES)
    written = question.skills[0].startswith("write:")
    wrong_form = str(question.operands[0]) if written else spell(number, language)
    other = spell(number, language) if written else str(number)
    return random.choice(("", other, other, wrong_form))


def vocabulary_of(lesson: Lesson) -> Tokenizer:
    """Learn the pieces of a lesson's texts, language by language, so that each has its own words."""
    pieces: dict[str, None] = {}
    for language in sorted({skill.partition(":")[2] for skill in lesson.skills}):
        random = Random(f"{lesson.seed}/pieces/{language}")
        skills = [s for s in lesson.skills if s.partition(":")[2] == language]
        texts: list[str] = []
        for _ in range(6_000):
            question = draw_skill(random, random.choice(skills), "fit")
            texts += [question.prompt, question.answer]
        rarest = {"ja": 0.15, "ko": 0.15, "zh": 0.15, "th": 0.06}.get(language, 0.004)
        pieces |= dict.fromkeys(learn_pieces(texts, rarest=rarest))
    if lesson.checks:
        pieces |= dict.fromkeys(("CHECK\n", "\n", "ACCEPT", "REVISE"))
    return Tokenizer(tuple(pieces))


def batch_of(tokenizer: Tokenizer, examples: list[Example], length: int, answer: int) -> Batch:
    """Turn examples into padded arrays; only what follows the prompt, at most `answer` tokens, is to be learned."""
    ids, places, runs = (np.zeros((len(examples), length), dtype=np.int32) for _ in range(3))
    at, targets = (np.zeros((len(examples), answer), dtype=np.int32) for _ in range(2))
    for row, example in enumerate(examples):
        asked, said = tokens_of(tokenizer, example)
        tokens = asked + said
        place, run = tokenizer.places(tokens)
        size = len(tokens) - 1
        ids[row, :size], places[row, :size], runs[row, :size] = tokens[:-1], place[:-1], run[:-1]
        at[row] = np.minimum(np.arange(answer) + len(asked) - 1, length - 1)
        targets[row, : len(said)] = said
    return Batch(ids, places, runs, at, targets)


def tokens_of(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """Give the tokens a model is asked with, and those it should go on with."""
    prompt, thought, answer = example
    hidden = [*tokenizer.encode(thought), THOUGHT] if thought else []
    return [*tokenizer.encode(prompt), ANSWER], [*hidden, *tokenizer.encode(answer), END]
