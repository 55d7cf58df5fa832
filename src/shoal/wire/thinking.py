"""Thinking text inside content: `<think>...</think>` split from the answer, also across chunks.

Knows the tags and nothing else. Strategy: a small machine over the text so far; it holds back only what could still be
the beginning of a tag, so that the answer streams on and any chunking gives the same two texts.
"""

from __future__ import annotations

from collections.abc import Iterator

OPEN, CLOSE = "<think>", "</think>"
MARKUP = (
    "<tool_call>",
    "<tool_calls>",
    "<function=",
    "<|tool_call",
    "<|tool_calls_section_begin|>",
    "<\uff5ctool\u2581calls\u2581begin\uff5c>",
    "<minimax:tool_call>",
    "[TOOL_CALLS]",
)
"""How raw tool calls begin when a local server runs without the parser of its model."""


class ThinkSplitter:
    """Splits one choice's content into (is_thinking, text) pieces; blank space beside a tag is dropped."""

    __slots__ = ("_held", "_inside", "_trim")

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._trim = True  # blank space is dropped after a tag, and before a first one

    def feed(self, text: str) -> Iterator[tuple[bool, str]]:
        """Yield the pieces that are certain by now."""
        text = self._held + text
        self._held = ""
        while text:
            tag = CLOSE if self._inside else OPEN
            at = text.find(tag)
            if at < 0:
                keep = _tail(text, tag)
                text, self._held = text[: len(text) - keep], text[len(text) - keep :]
                yield from self._piece(text)
                return
            yield from self._piece(text[:at])
            text = text[at + len(tag) :]
            self._inside = not self._inside
            self._trim = True

    def finish(self) -> Iterator[tuple[bool, str]]:
        """Yield what was held back in case it became a tag."""
        text, self._held = self._held, ""
        yield from self._piece(text)

    def _piece(self, text: str) -> Iterator[tuple[bool, str]]:
        if self._trim:
            text = text.lstrip()
        if text:
            self._trim = False
            yield self._inside, text


class MarkupWatch:
    """Tells whether the text of one choice begins like a raw tool call; True, False, or None while it may yet."""

    __slots__ = ("_head",)

    def __init__(self) -> None:
        self._head = ""

    def feed(self, text: str) -> bool | None:
        """Return the verdict over everything fed so far."""
        self._head = (self._head + text).lstrip()[:64]
        if any(self._head.startswith(opener) for opener in MARKUP):
            return True
        return None if any(opener.startswith(self._head) for opener in MARKUP) else False


def _tail(text: str, tag: str) -> int:
    """Return how many of the last characters could be the beginning of `tag`."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0
