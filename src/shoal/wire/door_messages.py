"""The messages of a client's chat request -> canonical items.

Knows which roles and parts a client may send and what each needs. Opens no image: an address is checked for its
scheme and handed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.core.item import Image, Item, Message, OtherPart, Part, Reasoning, Speaker, Text, ToolCall, ToolResult
from shoal.wire.door_fields import kind_of, listed, mapped, refuse, text

MAX_MESSAGES = 4096
MAX_PARTS = 1024
MAX_CALLS = 128
_SPEAKERS = {str(speaker): speaker for speaker in Speaker}
_ROLES = "system, developer, user, assistant, tool"


def items_in(found: Any) -> tuple[Item, ...]:
    """Return the items of `messages`.

    Raises:
        CallerError: a message is wrong; `param` is the path of what is.
    """
    if found is None:
        raise refuse("messages", "is required: an array with at least one message")
    messages = listed(found, "messages", MAX_MESSAGES)
    if not messages:
        raise refuse("messages", "has to hold at least one message")
    items: list[Item] = []
    calls: set[str] = set()
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        role = mapped(message, where).get("role")
        if role == "assistant":
            items += _assistant(message, where, calls)
        elif role == "tool":
            items.append(_result(message, where, calls))
        elif role == "function":
            raise refuse(f"{where}.role", "`function` is no longer taken; use `tools` and the role `tool`")
        elif isinstance(role, str) and role in _SPEAKERS:
            items.append(_message(message, where, _SPEAKERS[role]))
        else:
            raise refuse(f"{where}.role", f"has to be one of {_ROLES}")
    return tuple(items)


def _message(message: Mapping[str, Any], where: str, speaker: Speaker) -> Message:
    content = message.get("content")
    if content is None:
        raise refuse(f"{where}.content", "is required: a string or an array of parts")
    parts = _parts(content, f"{where}.content", rich=speaker is Speaker.USER)
    return Message(speaker, parts, name=text(message, "name", longest=128, param=f"{where}.name"))


def _assistant(message: Mapping[str, Any], where: str, calls: set[str]) -> list[Item]:
    if message.get("function_call") is not None:
        raise refuse(f"{where}.function_call", "is no longer taken; use `tool_calls`")
    items: list[Item] = []
    for name in ("reasoning_content", "reasoning"):
        thinking = message.get(name)
        if isinstance(thinking, str) and thinking:
            items.append(Reasoning(thinking))
            break
    made = [_call(call, f"{where}.tool_calls[{at}]", calls) for at, call in enumerate(_calls(message, where))]
    content, refusal = message.get("content"), message.get("refusal")
    if refusal is not None and not isinstance(refusal, str):
        raise refuse(f"{where}.refusal", f"has to be a string or null, found {kind_of(refusal)}")
    if content is None and refusal is None and not made:
        raise refuse(f"{where}.content", "is required where the message has no `tool_calls`")
    if content is not None or refusal is not None:
        parts: tuple[Part, ...] = ()
        if content is not None:
            content, refusal = _without_refusals(content, refusal)
            parts = _parts(content, f"{where}.content", rich=False)
        said_by = text(message, "name", longest=128, param=f"{where}.name")
        items.append(Message(Speaker.ASSISTANT, parts, name=said_by, refusal=refusal))
    return [*items, *made]


def _without_refusals(content: Any, refusal: str | None) -> tuple[Any, str | None]:
    """Take refusal parts out of an assistant's content; they are a field of the message."""
    if not isinstance(content, list):
        return content, refusal
    said = [p.get("refusal") for p in content if isinstance(p, dict) and p.get("type") == "refusal"]
    kept = [p for p in content if not (isinstance(p, dict) and p.get("type") == "refusal")]
    return kept, "".join(s for s in said if isinstance(s, str)) or refusal


def _calls(message: Mapping[str, Any], where: str) -> list[Any]:
    return listed(message.get("tool_calls"), f"{where}.tool_calls", MAX_CALLS)


def _call(call: Any, where: str, calls: set[str]) -> ToolCall:
    call = mapped(call, where)
    identity = text(call, "id", longest=256, param=f"{where}.id")
    if identity is None:
        raise refuse(f"{where}.id", "is required")
    if call.get("type", "function") != "function":
        raise refuse(f"{where}.type", "has to be `function`; other kinds of calls cannot be handed back yet")
    function = mapped(call.get("function"), f"{where}.function")
    name = text(function, "name", longest=128, param=f"{where}.function.name")
    if name is None:
        raise refuse(f"{where}.function.name", "is required")
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        raise refuse(f"{where}.function.arguments", f"has to be a string of JSON, found {kind_of(arguments)}")
    calls.add(identity)
    return ToolCall(identity, name, arguments)


def _result(message: Mapping[str, Any], where: str, calls: set[str]) -> ToolResult:
    identity = message.get("tool_call_id")
    if not isinstance(identity, str) or identity not in calls:
        raise refuse(f"{where}.tool_call_id", "has to be the id of a tool call in an earlier assistant message")
    content = message.get("content")
    if content is None:
        raise refuse(f"{where}.content", "is required: what the tool gave back")
    return ToolResult(identity, _parts(content, f"{where}.content", rich=False))


def _parts(content: Any, where: str, *, rich: bool) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise refuse(where, f"has to be a string or an array of parts, found {kind_of(content)}")
    parts = listed(content, where, MAX_PARTS)
    return tuple(_part(part, f"{where}[{at}]", rich=rich) for at, part in enumerate(parts))


def _part(part: Any, where: str, *, rich: bool) -> Part:
    part = mapped(part, where)
    kind = part.get("type")
    if kind == "text":
        said = part.get("text")
        if not isinstance(said, str):
            raise refuse(f"{where}.text", f"has to be a string, found {kind_of(said)}")
        mark = part.get("cache_control")
        return Text(said, {"cache_control": mark} if isinstance(mark, dict) else None)
    if not isinstance(kind, str) or not kind or len(kind) > 64:
        raise refuse(f"{where}.type", "has to name the kind of the part, such as `text` or `image_url`")
    if not rich:
        raise refuse(f"{where}.type", f"only text parts may stand here, found `{kind[:32]}`")
    return _image(part, where) if kind == "image_url" else OtherPart(kind, part)


def _image(part: Mapping[str, Any], where: str) -> Image:
    image = part.get("image_url")
    image = {"url": image} if isinstance(image, str) else mapped(image, f"{where}.image_url")
    url = image.get("url")
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise refuse(f"{where}.image_url.url", "has to be an address without spaces or control characters")
    if not url[:8].lower().startswith(("https://", "data:")):
        raise refuse(f"{where}.image_url.url", "has to begin with `https://` or `data:image/`")
    if url[:5].lower() == "data:" and not url[:11].lower().startswith("data:image/"):
        raise refuse(f"{where}.image_url.url", "is a data address, but not of an image (`data:image/...`)")
    return Image(url, text(image, "detail", longest=16, param=f"{where}.image_url.detail"))
