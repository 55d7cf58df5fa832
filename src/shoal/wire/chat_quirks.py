"""The ways in which providers depart from the chat dialect, and what we do about each.

Knows each departure by the id it has in the catalogue. Knows no provider: a quirk acts where the endpoint's facts name
it, or where `everywhere` says that reading a little more does no harm. Hooks edit a finished body in the order of the
table; what a quirk changes about reading a reply is one flag of `Reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson

from shoal.core.endpoint import Endpoint
from shoal.core.errors import Loss
from shoal.core.item import Finish
from shoal.core.request import Prompt
from shoal.wire.chat_body import REASONING, text_parts
from shoal.wire.failures import Business


@dataclass(frozen=True, slots=True)
class Draft:
    """A body that may still be edited, and what it was made for."""

    body: dict[str, Any]
    prompt: Prompt
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Reading:
    """How the replies of one endpoint are to be read."""

    reasoning_fields: frozenset[str] = frozenset()
    think_tags: bool = False
    typed_content: bool = False
    watch_markup: bool = False
    extra_usage: bool = False
    finishes: Mapping[str, Finish] = field(default_factory=lambda: MappingProxyType({}))
    codes: Mapping[str, Business] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Quirk:
    """One departure: how it changes the body or the reading of replies; and where it acts unasked."""

    body: Callable[[Draft], None] | None = None
    reading: Callable[[Reading], Reading] | None = None
    everywhere: bool = False
    also: Callable[[Endpoint], bool] | None = None
    keeps_marks: bool = False  # cache marks go only where they are known to be read


def _limit_as_max_tokens(draft: Draft) -> None:
    limit = draft.body.pop("max_completion_tokens", None)
    if limit is not None:
        draft.body.setdefault("max_tokens", limit)


def _limit_as_max_completion_tokens(draft: Draft) -> None:
    limit = draft.body.pop("max_tokens", None)
    if limit is not None:
        draft.body["max_completion_tokens"] = limit


def _echo_reasoning(draft: Draft) -> None:
    """Every assistant turn carries its thinking back; a space stands where it was lost."""
    in_tags = "think_tags_in_content" in draft.endpoint.quirks
    for message in draft.body["messages"]:
        if message["role"] != "assistant":
            continue
        thinking = message.pop(REASONING, None) or " "
        if not in_tags:
            message[REASONING] = thinking
            message[KEPT] = True
        elif thinking.strip() or "tool_calls" in message:
            content = message["content"]
            said = content if isinstance(content, str) else "".join(part["text"] for part in text_parts(content))
            message["content"] = f"<think>\n{thinking}\n</think>\n\n{said}"


KEPT = "\x00kept"
"""Marks a turn whose thinking a quirk wants sent; never leaves this package."""


def _toggle_thinking_object(draft: Draft) -> None:
    """`thinking={type}` says whether to think; how much is another field, sent only where the model lists its words."""
    body, endpoint = draft.body, draft.endpoint
    given = body.get("thinking")
    if isinstance(given, dict) and endpoint.provider == "deepseek":
        body["thinking"] = {k: v for k, v in given.items() if k != "budget_tokens"}
    effort = draft.prompt.sampling.reasoning_effort
    if effort is None:
        return
    name = endpoint.native_name.lower()
    adaptive = "minimax" in name and (endpoint.provider != "minimax" or "m3" in name)
    if given is None:
        body["thinking"] = {"type": "disabled" if effort == "none" else "adaptive" if adaptive else "enabled"}
    if effort == "none" or not endpoint.model.reasoning_effort:
        body.pop("reasoning_effort", None)


def _toggle_thinking_flag(draft: Draft) -> None:
    effort = draft.body.pop("reasoning_effort", None)
    if effort is not None:
        draft.body.setdefault("enable_thinking", effort != "none")


EFFORTS = ("none", "no_think", "minimal", "low", "medium", "high", "xhigh", "max")


def _nearest(effort: str, words: Sequence[str]) -> str:
    wanted = EFFORTS.index(effort) if effort in EFFORTS else EFFORTS.index("medium")
    return min(sorted(words, key=EFFORTS.index), key=lambda word: abs(EFFORTS.index(word) - wanted))


def _clamp_effort(draft: Draft) -> None:
    """Send the nearest word the model lists, the cheaper of two; none at all where its words are unknown."""
    effort = draft.body.pop("reasoning_effort", None)
    words = [word for word in draft.endpoint.model.reasoning_effort if word in EFFORTS]
    if effort is None or not words:
        return
    nearest = _nearest(effort, words)
    if "no_think" in words:  # Hy3 reads it from its chat template
        draft.body["chat_template_kwargs"] = {"reasoning_effort": "no_think" if effort == "none" else nearest}
    else:
        draft.body["reasoning_effort"] = nearest


def _null_effort(draft: Draft) -> None:
    """Null means off; of the words for on, only the three oldest are known to be taken."""
    effort = draft.body.get("reasoning_effort")
    if effort is not None:
        draft.body["reasoning_effort"] = None if effort == "none" else _nearest(effort, ("low", "medium", "high"))


_PINNED = MappingProxyType({"alibaba": "qwen3.8-max"})  # elsewhere it is all the reasoning models of a provider


def _drop_temperature(draft: Draft) -> None:
    endpoint = draft.endpoint
    if endpoint.model.reasoning and endpoint.native_name.startswith(_PINNED.get(endpoint.provider, "")):
        draft.body.pop("temperature", None)
        draft.body.pop("top_p", None)


def _clamp_temperature(draft: Draft) -> None:
    temperature = draft.body.get("temperature")
    if temperature is None:
        return
    lowest = 0.3 if draft.body.get("n", 1) > 1 else 0.0
    draft.body["temperature"] = min(max(temperature, lowest), 1.0)


ASK_FOR_TOOL = "Call one of the tools to answer."


def _ask_for_tool(draft: Draft) -> None:
    if draft.body.get("tool_choice") == "required":
        del draft.body["tool_choice"]
        draft.body["messages"].append({"role": "user", "content": ASK_FOR_TOOL})


def _force_with_any(draft: Draft) -> None:
    """The word is `any`; a named tool is forced by offering no other."""
    choice = draft.body.get("tool_choice")
    if isinstance(choice, dict):
        name = choice[choice["type"]]["name"]
        draft.body["tools"] = [t for t in draft.body["tools"] if t.get(t["type"], {}).get("name") == name]
    if choice == "required" or isinstance(choice, dict):
        draft.body["tool_choice"] = "any"


def _keep_functions(draft: Draft) -> None:
    tools = draft.body.get("tools")
    if not tools:
        return
    kept = [tool for tool in tools if tool.get("type") == "function"]
    if len(kept) == len(tools):
        return
    choice = draft.body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] != "function":
        del draft.body["tool_choice"]
    if kept:
        draft.body["tools"] = kept
    else:
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            draft.body.pop(name, None)


def _join_text(draft: Draft) -> None:
    for message in draft.body["messages"]:
        content = message["content"]
        if isinstance(content, list) and all(part.get("type") == "text" for part in content):
            message["content"] = "\n".join(part["text"] for part in content)


def _ask_for_schema(draft: Draft) -> None:
    form = draft.body.get("response_format")
    if not form or form.get("type") != "json_schema":
        return
    schema = orjson.dumps(form.get("json_schema", {}).get("schema", {})).decode()
    draft.body["response_format"] = {"type": "json_object"}
    draft.body["messages"].append(
        {"role": "user", "content": f"Answer with one JSON object that satisfies this JSON Schema:\n{schema}"}
    )


def _rename_seed(draft: Draft) -> None:
    if "seed" in draft.body:
        draft.body["random_seed"] = draft.body.pop("seed")


# BigModel's own numbers; the two that the catalogue's sources name.
BUSINESS_CODES: Mapping[str, Business] = MappingProxyType(
    {"1261": Business(Loss.REQUEST, "context_length"), "1301": Business(Loss.REQUEST, "content_filter")}
)

QUIRKS: Mapping[str, Quirk] = MappingProxyType(
    {
        "max_tokens_only": Quirk(body=_limit_as_max_tokens),
        "max_completion_tokens_only": Quirk(body=_limit_as_max_completion_tokens),
        "reasoning_content_out": Quirk(
            reading=lambda r: replace(r, reasoning_fields=r.reasoning_fields | {"reasoning_content"}), everywhere=True
        ),
        "reasoning_field_out": Quirk(
            reading=lambda r: replace(r, reasoning_fields=r.reasoning_fields | {"reasoning"}), everywhere=True
        ),
        "think_tags_in_content": Quirk(reading=lambda r: replace(r, think_tags=True)),
        "thinking_blocks_in_content": Quirk(reading=lambda r: replace(r, typed_content=True), everywhere=True),
        "reasoning_echo_required": Quirk(body=_echo_reasoning),
        "thinking_object_toggle": Quirk(body=_toggle_thinking_object),
        "enable_thinking_flag": Quirk(body=_toggle_thinking_flag),
        "reasoning_effort_enum_varies": Quirk(
            body=_clamp_effort, also=lambda endpoint: bool(endpoint.model.reasoning_effort)
        ),
        "null_disables_reasoning": Quirk(body=_null_effort),
        "temperature_fixed": Quirk(body=_drop_temperature),
        "temperature_max_1": Quirk(body=_clamp_temperature),
        "no_tool_choice_required": Quirk(body=_ask_for_tool),
        "tool_choice_any": Quirk(body=_force_with_any),
        "function_tools_only": Quirk(body=_keep_functions),
        "no_json_schema": Quirk(body=_ask_for_schema),
        "keeps_cache_control": Quirk(keeps_marks=True),
        "string_content_only": Quirk(body=_join_text),
        "business_code_errors": Quirk(reading=lambda r: replace(r, codes=BUSINESS_CODES)),
        "content_filter_refusals": Quirk(
            reading=lambda r: replace(r, finishes=MappingProxyType({"sensitive": Finish.CONTENT_FILTER}))
        ),
        "orchestration_usage": Quirk(reading=lambda r: replace(r, extra_usage=True)),
        "random_seed": Quirk(body=_rename_seed),
        "tool_markup_in_text": Quirk(reading=lambda r: replace(r, watch_markup=True)),
    }
)

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "dual_auth_header": "the endpoint's `auth` names the one header that carries its key",
        "base_path_not_v1": "the catalogue stores the full base and this dialect appends nothing but its own path",
        "alias_remap": "every answer records the provider's own word for the model that gave it",
        "long_stream_idle": "the endpoint's limits, which the pool keeps",
        "region_isolated_keys": "one credential for each endpoint, in the settings",
        "peak_pricing": "the price of the hour, in the catalogue and the ledger",
        "context_tier_pricing": "the tiers of a price, in core's money",
        "regional_feature_cut": "what a place offers is a fact of its endpoint, in the catalogue",
        "ollama_native_defaults": "the OpenAI-shaped route is used, never the native one",
    }
)
"""Quirks that need no hook here, and where they are taken care of."""

OTHER_DIALECTS: Mapping[str, str] = MappingProxyType(
    {
        "responses_first": "a dialect of its own; the chat form works meanwhile",
        "own_json": "each provider of this kind needs a dialect of its own",
        "anthropic_shape": "the messages dialect",
    }
)
"""Quirks that ask for a dialect that does not exist yet."""


def acting(quirks: Mapping[str, Quirk], endpoint: Endpoint) -> tuple[Quirk, ...]:
    """Return the quirks that act at this endpoint, in the order of the table."""
    named = endpoint.quirks
    return tuple(
        quirk
        for name, quirk in quirks.items()
        if quirk.everywhere or name in named or (quirk.also is not None and quirk.also(endpoint))
    )
