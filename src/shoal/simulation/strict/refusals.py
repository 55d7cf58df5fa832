"""What a twin refuses, and in which shape it says so.

Knows how to hold one body against a twin's rules. The first broken rule is named, as the real ones do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shoal.simulation.strict.mind import last_words, text_of
from shoal.simulation.strict.twin import ModelRules, Twin

GOOD_KEY = "sk-twin-good-key"
MARKS = "cache_control"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal before it takes a provider's shape."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


def refusal_by_headers(twin: Twin, headers: Mapping[str, str]) -> Refusal | None:
    """Return why a caller is not let in, or None."""
    if "none" in twin.auth:
        return None
    given = []
    for way in twin.auth:
        value = headers.get("authorization" if way == "bearer" else way)
        if value is not None:
            given.append(value == (f"Bearer {GOOD_KEY}" if way == "bearer" else GOOD_KEY))
    if twin.one_credential and len(given) > 1:
        return Refusal(400, "bad_request", "send one credential, not two")
    if given and all(given):
        return None
    return Refusal(401, "invalid_api_key", "Incorrect API key provided")


def refusal_by_body(twin: Twin, body: dict[str, Any]) -> Refusal | None:
    """Return the first rule a body breaks, or None."""
    rules = twin.rules_for(body.get("model", ""))
    broken = next(_broken(twin, rules, body), None)
    return None if broken is None else Refusal(400, "invalid_request_error", broken)


def _broken(twin: Twin, rules: ModelRules, body: dict[str, Any]) -> Iterator[str]:
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        yield "messages: field required"
        return
    for name in twin.refuse_fields:
        if name in body:
            yield f"{name}: extra fields not permitted"
    yield from _broken_messages(twin, rules, body["messages"])
    yield from _broken_limits(twin, rules, body)
    yield from _broken_thinking(twin, rules, body)
    yield from _broken_tools(twin, body)
    form = body.get("response_format")
    if form is not None and form.get("type") not in twin.formats:
        yield f"response_format.type: {form.get('type')} is not supported"
    if twin.seed != "seed" and "seed" in body:
        yield "seed: extra fields not permitted"


def _broken_messages(twin: Twin, rules: ModelRules, messages: list[dict[str, Any]]) -> Iterator[str]:
    known: set[str] = set()
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in twin.roles:
            yield f"messages[{at}].role: unknown variant `{role}`"
        if isinstance(content, list):
            texts = all(part.get("type") == "text" for part in content)
            if twin.content == "string" and texts:
                yield f"messages[{at}]: invalid type: sequence, expected a string"
            if twin.cache_marks == "refused" and any(MARKS in part for part in content):
                yield f"messages[{at}].content: {MARKS} is not permitted"
            if not rules.images and not texts:
                yield f"messages[{at}].content: this model takes text only"
        elif content is None and not message.get("tool_calls"):
            yield f"messages[{at}].content: field required"
        known |= {call["id"] for call in message.get("tool_calls", ())}
        if role == "tool" and message.get("tool_call_id") not in known:
            yield f"messages[{at}].tool_call_id: no such call"
        if role == "assistant":
            yield from _broken_echo(twin, message, at)


def _broken_echo(twin: Twin, message: dict[str, Any], at: int) -> Iterator[str]:
    if twin.echo == "every_turn" or (twin.echo == "tool_turns" and message.get("tool_calls")):
        if not message.get("reasoning_content"):
            yield f"messages[{at}]: the `reasoning_content` in the thinking mode must be passed back to the API"
    elif twin.echo == "in_content" and message.get("tool_calls"):
        if "<think>" not in text_of(message.get("content")):
            yield f"messages[{at}].content: the <think> text of the turn is missing"
    elif twin.echo in ("none", "in_content") and "reasoning_content" in message:
        yield f"messages[{at}].reasoning_content: extra fields not permitted"


def _broken_limits(twin: Twin, rules: ModelRules, body: dict[str, Any]) -> Iterator[str]:
    names = {"max_tokens", "max_completion_tokens"} - {twin.limit}
    if twin.limit != "either" and twin.other_limit == "refused":
        for name in names & body.keys():
            yield f"Unsupported parameter: '{name}' is not supported with this model. Use '{twin.limit}' instead."
    if {"max_tokens", "max_completion_tokens"} <= body.keys():
        yield "max_tokens and max_completion_tokens cannot both be set"
    temperature, n = body.get("temperature"), body.get("n", 1)
    if rules.temperature == "refused" and (temperature is not None or "top_p" in body):
        yield "Unsupported parameter: temperature"
    if rules.temperature == "only_1" and temperature not in (None, 1):
        yield "invalid temperature: only 1 is allowed for this model"
    if rules.temperature == "up_to_1" and temperature is not None:
        if temperature > 1:
            yield "temperature: has to be within [0, 1]"
        if n > 1 and temperature < 0.3:
            yield "temperature: n > 1 needs at least 0.3"


def _broken_thinking(twin: Twin, rules: ModelRules, body: dict[str, Any]) -> Iterator[str]:
    toggle = body.get("thinking")
    if toggle is not None:
        if twin.switch != "object":
            yield "thinking: extra fields not permitted"
        elif toggle.get("type") not in rules.thinking_types:
            yield f"thinking.type: unknown variant `{toggle.get('type')}`"
        elif "budget_tokens" in toggle:
            yield "thinking.budget_tokens: extra fields not permitted"
    kwargs = body.get("chat_template_kwargs", {})
    if rules.effort_at == "chat_template_kwargs" and "reasoning_effort" in kwargs:
        if kwargs["reasoning_effort"] not in (rules.efforts or ()):
            yield f"chat_template_kwargs.reasoning_effort: unknown value `{kwargs['reasoning_effort']}`"
    if "enable_thinking" in body and twin.switch != "flag":
        yield "enable_thinking: extra fields not permitted"
    if "reasoning_effort" not in body:
        return
    effort = body["reasoning_effort"]
    if effort is None:
        if twin.switch != "null":
            yield "reasoning_effort: null is not a string"
    elif rules.efforts is not None:
        if rules.effort_at != "reasoning_effort" or effort not in rules.efforts:
            yield f"reasoning_effort: unknown variant `{effort}`, expected one of {list(rules.efforts)}"
    elif twin.strict_effort:
        yield "reasoning_effort: extra fields not permitted"


def _broken_tools(twin: Twin, body: dict[str, Any]) -> Iterator[str]:
    tools, choice = body.get("tools"), body.get("tool_choice")
    if tools is not None and not tools:
        yield "tools: too short"
    for tool in tools or ():
        if twin.tool_types is not None and tool.get("type") not in twin.tool_types:
            yield f"tools: unknown variant `{tool.get('type')}`, expected `function`"
    if isinstance(choice, str) and choice not in ("auto", "none", twin.forced):
        yield f"tool_choice: {choice} is not supported"
    if isinstance(choice, dict) and not twin.named_tools:
        yield "tool_choice: the object form is not supported"
    if choice is not None and not tools:
        yield "tool_choice: needs tools"


def asked_for(twin: Twin, body: dict[str, Any]) -> Refusal | None:
    """Return the trouble that the last user message asks for in brackets."""
    said = last_words(body)
    if "[rate]" in said:
        return Refusal(429, "rate_limit_exceeded", "Rate limit reached", (("retry-after", "7"),))
    if "[quota]" in said:
        return Refusal(429, "insufficient_quota", "You exceeded your current quota")
    if "[down]" in said:
        return Refusal(503, "server_error", "The server is overloaded")
    if "[region]" in said:
        return Refusal(403, "unsupported_country_region_territory", "This service is not available in your region")
    if "[scope]" in said:
        return Refusal(403, "forbidden", "This key has no permission for this resource")
    if "[filter]" in said:
        return Refusal(twin.filter_status, twin.filter_code, "The request was stopped by the provider's filter")
    if "[long]" in said:
        return Refusal(twin.long_status, twin.long_code, "The prompt does not fit")
    return None


def shaped(twin: Twin, refusal: Refusal) -> bytes:
    """Return a refusal as this provider writes it."""
    code, message, status = refusal.code, refusal.message, refusal.status
    match twin.errors:
        case "google":
            return orjson.dumps([{"error": {"code": status, "message": message, "status": code.upper()}}])
        case "bigmodel":
            return orjson.dumps({"error": {"code": code, "message": message}})
        case "sarvam":
            return orjson.dumps({"error": {"message": message, "code": code, "request_id": "20261120_x"}})
        case "mistral":
            return orjson.dumps({"object": "error", "message": message, "type": code, "param": None, "code": "3051"})
        case "flat":
            return orjson.dumps({"code": code, "message": message, "request_id": "x"})
        case "detail":
            return orjson.dumps({"detail": f"{code}: {message}"})
        case _:
            return orjson.dumps({"error": {"message": message, "type": code, "param": None, "code": code}})
