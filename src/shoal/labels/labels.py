"""Labels: what the law must know of a request.

Knows what the client declared, what the items carry and what the detector finds, and joins them: a label only ever
grows. Images and files are not read. Where detection fails the text counts as personal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shoal.core.item import Item, Message, Opaque, Reasoning, ToolCall, ToolResult
from shoal.core.label import NOTHING, Label
from shoal.core.request import Request
from shoal.labels.detector import is_personal

PERSONAL = Label(personal=True)


class Labels:
    """Gives every request its label; same request, same label."""

    def __init__(self, detect: Callable[[str], bool] = is_personal) -> None:
        self._detect = detect

    def of(self, request: Request) -> Label:
        """Return the declared label joined with what is found; never raises."""
        prompt = request.prompt
        label = prompt.label
        for item in prompt.items:
            if item.label is not NOTHING:
                label = label.join(item.label)
        if label.personal:
            return label  # nothing that detection finds could add to it
        try:
            found = any(self._detect(text) for item in prompt.items for text in _texts(item))
        except Exception:  # INVARIANT: what could not be read counts as personal
            found = True
        return label.join(PERSONAL) if found else label


def _texts(item: Item) -> Iterator[str]:
    match item:
        case Message() | ToolResult():
            yield item.text
        case Reasoning():
            yield item.text
        case ToolCall():
            yield item.arguments
        case Opaque():
            return
