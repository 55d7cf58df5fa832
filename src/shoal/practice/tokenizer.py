"""Tokenizer: text to token ids and back, for one practice model and its own small vocabulary.

Knows pieces of text, and that a run of digits is written with its last digit first, each digit carrying its place
in the run: the same text in an order that suits adding and naming. It converts nothing and computes nothing; every
text without unknown characters comes back exactly. Unknown characters become the unknown token, whatever they are.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PAD, UNKNOWN, ANSWER, END, THOUGHT = range(5)
SPECIALS = ("<pad>", "<unknown>", "<answer>", "<end>", "<thought>")
DIGITS = "0123456789"
PLACES = 8  # places told apart: 0 is no digit, 1 is the last digit of a run, 7 the seventh and all before it
RUNS = 6  # runs of digits told apart: 0 is no digit, 1 the first run of the text


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Turns text into the ids of `pieces`, always taking the longest piece that fits."""

    pieces: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _longest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {piece: i for i, piece in enumerate(self.pieces) if i >= len(SPECIALS)})
        object.__setattr__(self, "_longest", max((len(piece) for piece in self._ids), default=1))

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Turn any text into ids; never raises, whatever the text holds."""
        text = unicodedata.normalize("NFC", text)
        ids, position = [], 0
        while position < len(text):
            if text[position] in DIGITS:
                end = position
                while end < len(text) and text[end] in DIGITS:
                    end += 1
                ids += [self._ids.get(digit, UNKNOWN) for digit in reversed(text[position:end])]
                position = end
            else:
                token, position = self._longest_piece(text, position)
                ids.append(token)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into text, digits in their usual order; special tokens leave no text but the unknown one."""
        text, digits = [], ""
        for token in ids:
            piece = self.piece(token)
            if piece in DIGITS and piece:
                digits = piece + digits
                continue
            text += [digits, piece]
            digits = ""
        return "".join([*text, digits])

    def piece(self, token: int) -> str:
        """Give the text of one token: empty for specials, the replacement character for the unknown one."""
        if token < len(SPECIALS):
            return "\N{REPLACEMENT CHARACTER}" if token == UNKNOWN else ""
        return self.pieces[token]

    def is_digit(self, token: int) -> bool:
        """Say whether `token` is one of the ten digits."""
        return len(self.pieces[token]) == 1 and self.pieces[token] in DIGITS

    def places(self, ids: Iterable[int]) -> tuple[list[int], list[int]]:
        """Give each token its place within its run of digits and the number of that run, both 0 outside runs."""
        places, runs, place, run = [], [], 0, 0
        for token in ids:
            if self.is_digit(token):
                run += place == 0
                place += 1
            else:
                place = 0
            places.append(min(place, PLACES - 1))
            runs.append(min(run, RUNS - 1) if place else 0)
        return places, runs

    def _longest_piece(self, text: str, position: int) -> tuple[int, int]:
        for length in range(min(self._longest, len(text) - position), 0, -1):
            token = self._ids.get(text[position : position + length])
            if token is not None:
                return token, position + length
        return UNKNOWN, position + 1


def learn_pieces(texts: Sequence[str], *, rarest: float = 0.004, at_most: int = 400) -> tuple[str, ...]:
    """Learn a vocabulary from `texts`: all characters, then the commonest neighbours joined within words.

    Joining stops at `at_most` pieces, or when the next pair stands in less than the share `rarest` of the texts.
    """
    words: Counter[tuple[str, ...]] = Counter()
    characters: set[str] = set(DIGITS)
    for text in texts:
        text = unicodedata.normalize("NFC", text)
        characters.update(text)
        words.update(tuple(word) for word in _words(text))
    pieces = [*DIGITS, *sorted(characters - set(DIGITS))]
    known = set(pieces)
    while len(pieces) + len(SPECIALS) < at_most:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:], strict=False):
                pairs[pair] += count
        if not pairs:
            break
        (left, right), count = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        if count < rarest * len(texts):
            break
        if left + right not in known:
            known.add(left + right)
            pieces.append(left + right)
        joined: Counter[tuple[str, ...]] = Counter()
        for word, uses in words.items():
            joined[_join(word, left, right)] += uses
        words = joined
    return (*SPECIALS, *pieces)


def _words(text: str) -> list[str]:
    """Cut a text before each space, hyphen and line break, and leave digits out."""
    words, current = [], ""
    for character in text:
        if character in DIGITS or character in " -\n":
            words.append(current)
            current = ""
        if character not in DIGITS:
            current += character
    words.append(current)
    return [word for word in words if word]


def _join(word: tuple[str, ...], left: str, right: str) -> tuple[str, ...]:
    joined: list[str] = []
    for piece in word:
        if joined and joined[-1] == left and piece == right:
            joined[-1] = left + right
        else:
            joined.append(piece)
    return tuple(joined)
