"""The mind of a twin: what it would say to a body it has accepted.

Knows a handful of sentences and obeys the request's knobs to the letter, so that a test can tell whether a knob
arrived. The same body always gets the same reply. Words in brackets in the last user message ask for trouble.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from shoal.simulation.strict.twin import ModelRules, Twin

THOUGHT = "The user wants something. Let me do exactly that."


@dataclass(frozen=True, slots=True)
class Thought:
    """One choice before it takes a wire form."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str], ...]
    finish: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens, counted as words."""

    input: int
    output: int
    reasoning: int
    cached: int


def text_of(content: Any) -> str:
    """Return the text in a message's content."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def last_words(body: dict[str, Any]) -> str:
    """Return the text of the last user message."""
    users = [m for m in body["messages"] if m.get("role") == "user"]
    return text_of(users[-1].get("content")) if users else ""


def thinks(twin: Twin, rules: ModelRules, body: dict[str, Any]) -> bool:
    """Return whether the model thinks before it answers this body."""
    if rules.thinks in ("never", "always"):
        return rules.thinks == "always"
    told = _told(twin, rules, body)
    return rules.thinks == "unless_told" if told is None else told


def _told(twin: Twin, rules: ModelRules, body: dict[str, Any]) -> bool | None:
    """Return what the body says about thinking, in the one way this provider reads."""
    if rules.effort_at == "chat_template_kwargs":
        effort = body.get("chat_template_kwargs", {}).get("reasoning_effort")
        if effort is not None:
            return bool(effort != "no_think")
    if twin.switch == "object" and "thinking" in body:
        return bool(body["thinking"]["type"] != "disabled")
    if twin.switch == "flag" and "enable_thinking" in body:
        return bool(body["enable_thinking"])
    if twin.switch == "null" and "reasoning_effort" in body:
        return body["reasoning_effort"] is not None
    if twin.switch == "effort" and "reasoning_effort" in body:
        return bool(body["reasoning_effort"] != "none")
    return None


def think(twin: Twin, body: dict[str, Any]) -> Thought:
    """Return what the model answers."""
    rules = twin.rules_for(body["model"])
    said = last_words(body)
    reasoning = THOUGHT if thinks(twin, rules, body) else ""
    last = body["messages"][-1]
    calls = () if last.get("role") == "tool" else _calls(twin, body, said)
    if calls:
        return Thought("", reasoning, calls, "tool_calls")
    text, finish = _limited(twin, body, _text(twin, body, said))
    if "[refuse]" in said:
        return Thought("", reasoning, (), twin.filter_finish)
    return Thought(text, reasoning, (), finish)


def _calls(twin: Twin, body: dict[str, Any], said: str) -> tuple[tuple[str, str], ...]:
    names = [t["function"]["name"] for t in body.get("tools", ()) if t.get("type") == "function"]
    choice = body.get("tool_choice", "auto")
    if not names or choice == "none":
        return ()
    if isinstance(choice, dict):
        return ((choice["function"]["name"], '{"city":"Oslo"}'),)
    if choice != twin.forced and "tool" not in said.lower():
        return ()
    if "twice" in said and body.get("parallel_tool_calls") is not False:
        return ((names[0], '{"city":"Oslo"}'), (names[0], '{"city":"서울"}'))
    return ((names[0], '{"city":"Oslo"}'),)


def _text(twin: Twin, body: dict[str, Any], said: str) -> str:
    last = body["messages"][-1]
    if last.get("role") == "tool":
        return f"The tool says: {text_of(last.get('content'))}"
    if any(part.get("type") == "image_url" for m in body["messages"] for part in _parts(m)):
        return "I see an image."
    form = body.get("response_format", {}).get("type", "text")
    if form == "json_schema":
        return orjson.dumps(_instance(body["response_format"]["json_schema"].get("schema", {}))).decode()
    if form == "json_object":
        found = re.search(r"\{.*\}", said, re.DOTALL)
        return orjson.dumps(_instance(orjson.loads(found[0])) if found else {}).decode()
    if "roll" in said:
        seed = body.get(twin.seed)
        return f"rolled {'unseeded' if seed is None else Random(seed).randrange(10**6)}"
    return f"You said: {said}"


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _instance(schema: dict[str, Any]) -> Any:
    """Return the smallest value that satisfies a simple schema."""
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _instance(inner) for name, inner in schema.get("properties", {}).items()}
    return {"integer": 42, "number": 4.2, "boolean": True, "array": [], "null": None}.get(kind, "forty-two")


def _limited(twin: Twin, body: dict[str, Any], text: str) -> tuple[str, str]:
    """Obey stop words and the output limit, in that order."""
    stops = body.get("stop") or []
    ends = [at for stop in ([stops] if isinstance(stops, str) else stops) if (at := text.find(stop)) >= 0]
    if ends:
        return text[: min(ends)], "stop"
    limit = limit_of(twin, body)
    words = re.findall(r"\S+\s*", text)
    if limit is not None and len(words) > limit:
        return "".join(words[:limit]), "length"
    return text, "stop"


def limit_of(twin: Twin, body: dict[str, Any]) -> int | None:
    """Return the limit under the name this provider reads."""
    names = ("max_tokens", "max_completion_tokens") if twin.limit == "either" else (twin.limit,)
    limits = [body[name] for name in names if body.get(name) is not None]
    return min(limits) if limits else None


def count(twin: Twin, body: dict[str, Any], thoughts: list[Thought]) -> Counts:
    """Return the tokens this exchange took."""
    used = sum(len(text_of(m.get("content")).split()) + 3 for m in body["messages"])
    marked = any("cache_control" in part for m in body["messages"] for part in _parts(m))
    thinking = sum(len(t.reasoning.split()) for t in thoughts)
    written = sum(len(t.text.split()) + 8 * len(t.calls) for t in thoughts)
    return Counts(used, written + thinking, thinking, 5 if marked and twin.cache_marks == "read" else 0)
