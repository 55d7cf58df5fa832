"""The detector: personal data that a pattern can prove, and deliberately little of it.

Knows e-mail addresses and payment card numbers. Knows no names, phone numbers, addresses or national ids: who sends
those declares it (`"shoal": {"label": {"personal": true}}`). Edges are ASCII look-arounds, because to Unicode Hangul,
Kana and Han are word characters and `\\b` misses what is written next to them. Time is linear in the text.
"""

from __future__ import annotations

import re

# One character before the @ is enough to know; labels are bounded, so that no text makes the search slow.
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"]@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![0-9A-Za-z@])")
# 13 to 19 digits, alone or in groups; the first digits of the card networks are 2 to 6.
_CARD = re.compile(r"(?<![0-9A-Za-z])(?<![0-9][.,-])[2-6](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])(?![.,][0-9])")
_WIDE = re.compile("[\uff0d\uff0e\uff10-\uff20]")
_NARROW = {code: code - 0xFEE0 for code in (0xFF0D, 0xFF0E, *range(0xFF10, 0xFF21))}
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_personal(text: str) -> bool:
    """Return whether the text holds an e-mail address or a payment card number."""
    if not text.isascii() and _WIDE.search(text):  # full-width digits, as East Asian keyboards type them
        text = text.translate(_NARROW)
    if "@" in text and _EMAIL.search(text):
        return True
    return any(_is_card(found[0]) for found in _CARD.finditer(text))


def _is_card(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    return len(set(digits)) > 1 and passes_luhn(digits)


def passes_luhn(digits: list[int]) -> bool:
    """Return whether the last digit is the check digit of the others."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(odd) + sum(_DOUBLED[digit] for digit in even)) % 10 == 0
