"""Labels: what the law must know of a request.

Knows what the client declared, what the items carry and what the detector finds, and joins them: a label only ever
grows. Every text that would be sent is read: messages, tools, and the fields beside them. Images and files are not.
Sensitive data, credit information and data of minors are about people, so they are personal whether or not that is
said. Where detection fails the text counts as personal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from shoal.core.item import Item, Message, Opaque, Reasoning, ToolCall, ToolResult
from shoal.core.label import NOTHING, Label
from shoal.core.request import Prompt, Request
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
        if label.sensitive or label.credit_info or label.minor:
            label = label.join(PERSONAL)
        if label.personal:
            return label  # nothing that detection finds could add to it
        try:
            found = any(self._detect(text) for text in _sent(prompt))
        except Exception:  # INVARIANT: what could not be read counts as personal
            found = True
        return label.join(PERSONAL) if found else label


def _sent(prompt: Prompt) -> Iterator[str]:
    """Every text of a prompt that an endpoint would be sent."""
    for item in prompt.items:
        yield from _texts(item)
    if prompt.user is not None:
        yield prompt.user
    yield from prompt.sampling.stop
    for beside in (*(tool.raw for tool in prompt.tools), prompt.sampling.response_format, prompt.sampling.extra):
        if beside:
            yield orjson.dumps(dict(beside), default=_plain).decode()


def _plain(value: Any) -> Any:
    return dict(value)


def _texts(item: Item) -> Iterator[str]:
    match item:
        case Message():
            yield item.text
            yield item.name or ""
            yield item.refusal or ""
        case ToolResult():
            yield item.text
        case Reasoning():
            yield item.text
        case ToolCall():
            yield item.arguments
        case Opaque():
            return
