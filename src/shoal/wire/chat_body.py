"""Canonical prompt -> body of a Chat Completions call, in the plain spelling that most providers take.

Knows the chat dialect's fields. Knows no provider: where one spells a field differently, a quirk edits the finished
body (`chat_quirks`). Strategy: one pass over the items, which gathers each assistant turn into one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shoal.core.endpoint import Endpoint
from shoal.core.item import Image, Item, Message, Opaque, Part, Reasoning, Speaker, Text, ToolCall, ToolResult
from shoal.core.request import Prompt, Sampling, ToolMode

REASONING = "reasoning_content"
"""Where a turn's thinking stands while quirks look at the body; `openai_chat` takes it out unless one keeps it."""

OWN = frozenset({"model", "messages", "stream", "stream_options", "tools", "tool_choice"})
"""Fields that only Shoal writes: the same names in `Sampling.extra` are ignored."""


def body_of(prompt: Prompt, endpoint: Endpoint, *, stream: bool) -> dict[str, Any]:
    """Return the whole body; assistant turns still carry their thinking under `REASONING`."""
    sampling = prompt.sampling
    body: dict[str, Any] = {k: v for k, v in sampling.extra.items() if k not in OWN}
    body["model"] = endpoint.native_name
    body["messages"] = messages_of(prompt.items, endpoint)
    body.update(_sampled(sampling))
    if prompt.tools:
        body["tools"] = [dict(tool.raw) for tool in prompt.tools]
        if prompt.tool_choice is not None:
            body["tool_choice"] = _choice(prompt)
        if prompt.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = prompt.parallel_tool_calls
    if prompt.user is not None:
        body["user"] = prompt.user
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _sampled(sampling: Sampling) -> dict[str, Any]:
    """Return the sampling fields that were said; what was not said is left to the endpoint."""
    said: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "n": None if sampling.n == 1 else sampling.n,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "reasoning_effort": sampling.reasoning_effort,
        "response_format": None if sampling.response_format is None else dict(sampling.response_format),
    }
    return {name: value for name, value in said.items() if value is not None}


def _choice(prompt: Prompt) -> Any:
    choice = prompt.tool_choice
    if choice is None or choice.mode is not ToolMode.NAMED:
        return None if choice is None else str(choice.mode)
    kind = next((tool.kind for tool in prompt.tools if tool.name == choice.name), "function")
    return {"type": kind, kind: {"name": choice.name}}


def messages_of(items: Sequence[Item], endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the items as chat messages: thinking, text and tool calls of one assistant turn become one message."""
    messages: list[dict[str, Any]] = []
    turn: dict[str, Any] | None = None
    for item in items:
        if isinstance(item, Opaque):
            continue  # only its producer understands it, and the chat dialect has no place for it
        if isinstance(item, ToolCall):
            if turn is None:
                turn = _open_turn(messages)
            turn.setdefault("tool_calls", []).append(
                {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
            )
        elif isinstance(item, Reasoning):
            if turn is None or turn["content"] is not None or "tool_calls" in turn:
                turn = _open_turn(messages)
            if item.producer is None or item.producer.endpoint == endpoint.id:
                turn[REASONING] = turn.get(REASONING, "") + item.text
        elif isinstance(item, ToolResult):
            turn = None
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": content_of(item.parts)})
        elif item.speaker is Speaker.ASSISTANT:
            if turn is None or turn["content"] is not None or "tool_calls" in turn:
                turn = _open_turn(messages)
            turn["content"] = content_of(item.parts) if item.parts else None
            turn.update(_named(item))
        else:
            turn = None
            # Every provider knows `system`, few know `developer`, and those that do read both alike.
            role = "user" if item.speaker is Speaker.USER else "system"
            messages.append({"role": role, "content": content_of(item.parts), **_named(item)})
    return messages


def _open_turn(messages: list[dict[str, Any]]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": "assistant", "content": None}
    messages.append(turn)
    return turn


def _named(item: Message) -> dict[str, str]:
    said = {"name": item.name, "refusal": item.refusal}
    return {name: value for name, value in said.items() if value is not None}


def content_of(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """Return one plain text as a string and everything else as a list of parts."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].marks is None:
        return parts[0].text
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text, **(part.marks or {})}
    if isinstance(part, Image):
        image = {"url": part.url} if part.detail is None else {"url": part.url, "detail": part.detail}
        return {"type": "image_url", "image_url": image}
    return dict(part.raw)


def text_parts(content: Any) -> Iterable[Mapping[str, Any]]:
    """Return the text parts of a message's content, whichever of its two forms it has."""
    if isinstance(content, list):
        return [part for part in content if part.get("type") == "text"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else []
