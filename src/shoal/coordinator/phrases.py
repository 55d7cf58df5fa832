"""Phrases: recognises number questions by their wording, and splits them.

Knows the table of wordings and nothing of numbers: an operand is a piece of text that is carried over as it was
written. What is converted or computed is for endpoints to do. Matching is by prefix and suffix, so the time it takes
grows with the length of the text and not with what stands in it.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from shoal.coordinator.language import script_of

MAX_CHARACTERS = 300
MAX_OPERAND_CHARACTERS = 120
MAX_DIGITS = 5
OPERATIONS = ("add", "subtract", "multiply")
DIGITS = "digits"

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SAME = {ord("؟"): "?", ord("−"): "-", ord("–"): "-", ord("。"): "."}
_FOLD: Mapping[int, int | str] = {**_WIDE, **_SAME}
_TRAILING = " ?.!=।"
_AROUND_MARK = re.compile(r" ?([?？؟]) ?")
_NUMBER = re.compile(rf"\d{{1,{MAX_DIGITS}}}")
_FOREIGN = frozenset('{}[]<>|\\"`?!;:=()*/+_@#$%^&~')
_SLOT = re.compile(r"\{([wdeab])\}")
_MARK = "\x00"
_UNSPACED = frozenset({"ja", "ko", "zh", "th", DIGITS})
_SCRIPTS: Mapping[str, frozenset[str]] = {
    "ja": frozenset({"han", "kana"}),
    "ko": frozenset({"hangul"}),
    "zh": frozenset({"han"}),
    "hi": frozenset({"devanagari"}),
    "ar": frozenset({"arabic"}),
    "th": frozenset({"thai"}),
}
_LATIN = frozenset({"latin"})


class Kind(StrEnum):
    """What is asked: the first three take one skill, the others a chain."""

    READ = "read"
    WRITE = "write"
    OPERATION = "operation"
    EXPRESSION_TO_DIGITS = "expression_to_digits"
    EXPRESSION_TO_WORDS = "expression_to_words"
    DIGITS_TO_WORDS = "digits_to_words"

    @property
    def is_chain(self) -> bool:
        """Whether more than one skill is needed."""
        return self not in (Kind.READ, Kind.WRITE, Kind.OPERATION)


@dataclass(frozen=True, slots=True)
class NumberQuestion:
    """A number question, split: `parts` are the number or the two operands, spelled as the client spelled them."""

    language: str
    kind: Kind
    parts: tuple[str, ...]
    operation: str | None = None

    @property
    def skill(self) -> str:
        """The one skill that answers the whole question; `mixed` where it takes several."""
        if self.kind.is_chain:
            return "mixed"
        return self.operation or f"{self.kind}:{self.language}"


@dataclass(frozen=True, slots=True)
class _Wording:
    """One wording, folded: what stands before and after its slot, and what it asks."""

    language: str
    asks: str
    before: str
    after: str

    @property
    def literal(self) -> int:
        return len(self.before) + len(self.after)


class Phrases:
    """The table of wordings, ready to recognise and to ask."""

    def __init__(self, table: Mapping[str, Mapping[str, Iterable[str]]] | None = None) -> None:
        raw = load_table() if table is None else table
        self._table = {tag: {key: tuple(forms) for key, forms in forms_of.items()} for tag, forms_of in raw.items()}
        self.languages = tuple(tag for tag in self._table if tag != DIGITS)
        wordings = [
            _Wording(tag, asks, *_around(form))
            for tag in self.languages
            for asks in ("read", "write", "ask_digits", "ask_words")
            for form in self._table[tag][asks]
        ]
        # The wording that fixes most of the text wins: "write {w} in digits" before "{w} in digits".
        self._wordings = tuple(sorted(wordings, key=lambda w: -w.literal))
        self._operators = {
            tag: tuple(
                (operation, operator.strip() if tag in _UNSPACED else operator)
                for operation in OPERATIONS
                for operator in map(_between, self._table[tag][operation])
            )
            for tag in self._table
        }

    def recognise(self, text: str) -> NumberQuestion | None:
        """Return the question a text asks, or None if it is none of ours."""
        if len(text) > MAX_CHARACTERS or not text:
            return None
        base = _tidy(text)
        folded = _fold(base)
        end = len(folded.rstrip(_TRAILING))
        bare = self._digits(base[:end], folded[:end])
        if bare is not None:
            return NumberQuestion(DIGITS, Kind.OPERATION, bare[1], bare[0])
        for wording in self._wordings:
            before, after = wording.before, wording.after
            stop = end - len(after)
            if len(before) < stop and folded.startswith(before) and folded.endswith(after, 0, end):
                found = self._match(wording, base[len(before) : stop], folded[len(before) : stop])
                if found is not None:
                    return found
        return None

    def ask_read(self, language: str, words: str) -> str:
        """Return the question that asks for `words` in digits."""
        return _fill(self._table[language]["read"][0], w=words)

    def ask_write(self, language: str, digits: str) -> str:
        """Return the question that asks for `digits` in words."""
        return _fill(self._table[language]["write"][0], d=digits)

    def ask_operation(self, operation: str, first: str, second: str) -> str:
        """Return the question that asks for one operation on digits."""
        table = self._table[DIGITS]
        return _fill(table["ask"][0], e=_fill(table[operation][0], a=first, b=second))

    def _match(self, wording: _Wording, base: str, folded: str) -> NumberQuestion | None:
        language = wording.language
        digits = self._digits(base, folded)
        if wording.asks == "write":
            if digits is not None:
                return NumberQuestion(language, Kind.DIGITS_TO_WORDS, digits[1], digits[0])
            return NumberQuestion(language, Kind.WRITE, (base.strip(),)) if _is_number(folded) else None
        if digits is not None:  # signs and digits throughout: whoever writes so reads the result so
            return NumberQuestion(DIGITS, Kind.EXPRESSION_TO_DIGITS, digits[1], digits[0])
        split = self._split(language, base, folded)
        if split is not None:
            if not all(_is_operand(part, language) for part in split[1]):
                return None
            kind = Kind.EXPRESSION_TO_WORDS if wording.asks == "ask_words" else Kind.EXPRESSION_TO_DIGITS
            return NumberQuestion(language, kind, split[1], split[0])
        word = base.strip()
        if wording.asks == "read" and _is_operand(word, language) and not _is_number(word):
            return NumberQuestion(language, Kind.READ, (word,))
        return None

    def _digits(self, base: str, folded: str) -> tuple[str, tuple[str, str]] | None:
        """Split an expression in digits and signs."""
        if not folded or not folded[0].isdecimal() or not folded[-1].isdecimal():
            return None
        split = self._split(DIGITS, base, folded)
        return split if split is not None and all(map(_is_number, split[1])) else None

    def _split(self, language: str, base: str, folded: str) -> tuple[str, tuple[str, str]] | None:
        """Split at the one operator; a text with none or with several is no expression of ours."""
        found: tuple[str, tuple[str, str]] | None = None
        for operation, operator in self._operators[language]:
            at = folded.find(operator)
            if at < 0:
                continue
            after = at + len(operator)
            if found is not None or folded.find(operator, after) >= 0:
                return None
            found = (operation, (base[:at].strip(), base[after:].strip()))
        return found if found is not None and all(found[1]) else None


def load_table() -> Mapping[str, Mapping[str, list[str]]]:
    """Read the table of wordings that is shipped beside this file."""
    text = resources.files("shoal.coordinator").joinpath("phrases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def is_spelled_in_digits(operand: str) -> bool:
    """Return whether an operand already stands in digits, so that nobody has to read it."""
    return _is_number(operand)


def _tidy(text: str) -> str:
    return _AROUND_MARK.sub(r"\1", " ".join(unicodedata.normalize("NFC", text).split()))


def _fold(text: str) -> str:
    """Return a text of the same length that says the same: ASCII widths and marks, lower case."""
    folded = text.translate(_FOLD)
    lowered = folded.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in folded)


def _around(form: str) -> tuple[str, str]:
    before, _, after = _fold(_tidy(_SLOT.sub(_MARK, form))).partition(_MARK)
    return before, after.rstrip(_TRAILING)


def _between(form: str) -> str:
    _, operator, _ = _fold(_tidy(_SLOT.sub(_MARK, form))).split(_MARK)
    return operator


def _fill(form: str, **parts: str) -> str:
    return _SLOT.sub(lambda slot: parts[slot[1]], form)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _is_operand(text: str, language: str) -> bool:
    """Return whether a text may be a number of this language: short, in its script, without foreign marks."""
    if not 0 < len(text) <= MAX_OPERAND_CHARACTERS or not _FOREIGN.isdisjoint(text):
        return False
    if _is_number(text):
        return True
    scripts = _SCRIPTS.get(language, _LATIN)
    letters = [script_of(c) for c in text if c not in " -,.'’、\u200c\u200d"]
    return bool(letters) and all(script in scripts for script in letters)
