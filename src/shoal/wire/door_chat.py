"""Our own chat door, without a socket: a client's bytes -> a trusted request, and answers -> the client's bytes.

Knows every field of a Chat Completions request and the `shoal` object beside them, and refuses what is wrong with the
path of the field. What it does not know it keeps in `Sampling.extra`, so that a newer OpenAI field still arrives.
Knows nothing of keys, limits of size or who answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from shoal.core.errors import CallerError
from shoal.core.label import NOTHING, Label
from shoal.core.request import (
    LOCAL_TENANT,
    Effort,
    Prompt,
    Request,
    Sampling,
    Template,
    Tool,
    ToolChoice,
    ToolMode,
)
from shoal.core.selector import Narrowing, Selector, parse
from shoal.wire.door_fields import flag, kind_of, listed, mapped, number, object_in, refuse, text, whole
from shoal.wire.door_messages import MAX_MESSAGES, items_in
from shoal.wire.door_reply import ChatChunks, Finished, encode_reply

MAX_TOKENS = 10_000_000
MAX_STOPS = 4
MAX_STOP_LENGTH = 1000
MAX_TOOLS = 512
MAX_SELECTORS = 64
MAX_EXTRA = 64
MAX_BUDGET_USD = Decimal(1_000_000)
MAX_DEADLINE_S = 86_400.0
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_SUBJECT = re.compile(r"[A-Z]{2}")
_EFFORTS = {"none": Effort.FAST, "minimal": Effort.FAST, "low": Effort.FAST}
_EFFORTS |= {"high": Effort.DEEP, "xhigh": Effort.DEEP, "max": Effort.DEEP}
_READ = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens temperature top_p stop seed n logprobs "
    "top_logprobs presence_penalty frequency_penalty reasoning_effort response_format tools tool_choice "
    "parallel_tool_calls user shoal functions function_call".split()
)
_SHOAL = frozenset("only exclude budget_usd deadline_s template label explain".split())
_SETS = ("subjects", "sectors", "tags")
_FLAGS = ("personal", "sensitive", "credit_info", "minor")


class ChatDoor:
    """The chat dialect as our clients speak it: what the gateway needs to serve `/v1/chat/completions`."""

    def parse(self, body: bytes, *, run: str, owner: str | None, exclude: str | None) -> Request:
        """Return the request in a body; `exclude` is the value of `x-shoal-exclude`, which can only narrow.

        Raises:
            CallerError: the body has to change; `param` says where.
        """
        headers = {} if exclude is None else {"x-shoal-exclude": exclude}
        return parse_request(body, headers, run=run, owner=owner)

    def encode(self, completed: Finished, request: Request) -> bytes:
        """Return the whole reply."""
        return encode_reply(completed, request)

    def chunks(self, request: Request) -> ChatChunks:
        """Return a fresh encoder for one streamed reply."""
        return ChatChunks(request)


def parse_request(
    body: bytes, headers: Mapping[str, str], *, run: str, tenant: str = LOCAL_TENANT, owner: str | None = None
) -> Request:
    """Return the request a client's body and headers make.

    Raises:
        CallerError: the body has to change; `param` says where.
    """
    # Before parsing: a hundred thousand messages are refused anyway, and leave the allocator in pieces. A quote in a
    # string is escaped, so only keys (and the rare value) are counted; tools may have parameters called `role`.
    if body.count(b'"role"') > 2 * MAX_MESSAGES:
        raise refuse("messages", f"holds more than {MAX_MESSAGES:,} items")
    fields = object_in(body)
    for name in ("functions", "function_call"):
        if fields.get(name) is not None:
            raise refuse(name, "is no longer taken; use `tools` and `tool_choice`")
    for name in fields:
        if name != "shoal" and name.strip().casefold() == "shoal":  # passed on, what it narrows would be lost
            raise refuse(name, "is written `shoal`, in small letters")
    model = text(fields, "model", longest=256)
    if model is None:
        raise refuse("model", "is required; `GET /v1/models` lists the names, and `shoal` chooses by itself")
    ours = _ours(fields.get("shoal"))
    is_ours = model == "shoal" or model.startswith(("shoal/", "shoal-"))
    said_effort = text(fields, "reasoning_effort", longest=32)
    stream = flag(fields, "stream") or False
    return Request(
        run=run,
        model=model,
        prompt=_prompt(fields, _label(ours.get("label")), None if is_ours else said_effort),
        tenant=tenant,
        owner=owner,
        effort=_effort(model, said_effort),
        stream=stream,
        include_usage=_include_usage(fields, stream),
        narrowing=_narrowing(ours, headers),
        budget_usd=_budget(ours.get("budget_usd")),
        deadline_s=_deadline(ours),
        template=_template(ours.get("template")),
        explain=flag(ours, "explain", param="shoal.explain") or False,
    )


def _effort(model: str, said: str | None) -> Effort:
    """Return how much the client is willing to spend: by the model's name, else by its `reasoning_effort`."""
    if model in ("shoal-fast", "shoal-deep"):
        return Effort.FAST if model == "shoal-fast" else Effort.DEEP
    return _EFFORTS.get(said or "", Effort.AUTO) if model == "shoal" else Effort.AUTO


def _include_usage(fields: Mapping[str, Any], stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not stream:
        raise refuse("stream_options", "may only be given with `stream: true`")
    return flag(mapped(options, "stream_options"), "include_usage", param="stream_options.include_usage") or False


def _prompt(fields: Mapping[str, Any], label: Label, reasoning_effort: str | None) -> Prompt:
    tools = _tools(fields.get("tools"))
    return Prompt(
        items=items_in(fields.get("messages")),
        sampling=_sampling(fields, reasoning_effort),
        tools=tools,
        tool_choice=_tool_choice(fields.get("tool_choice"), tools),
        parallel_tool_calls=flag(fields, "parallel_tool_calls"),
        label=label,
        user=text(fields, "user", longest=512),
    )


def _sampling(fields: Mapping[str, Any], reasoning_effort: str | None) -> Sampling:
    limit = whole(fields, "max_completion_tokens", 1, MAX_TOKENS)
    older = whole(fields, "max_tokens", 1, MAX_TOKENS)
    logprobs, top = flag(fields, "logprobs"), whole(fields, "top_logprobs", 0, 20)
    if top is not None and not logprobs:
        raise refuse("top_logprobs", "needs `logprobs: true`")
    extra = {name: value for name, value in fields.items() if name not in _READ}
    if len(extra) > MAX_EXTRA or any(len(name) > 128 for name in extra):
        raise CallerError(f"the body has more than {MAX_EXTRA} unknown fields, or one with a very long name")
    return Sampling(
        max_tokens=older if limit is None else limit,
        temperature=number(fields, "temperature", 0, 2),
        top_p=number(fields, "top_p", 0, 1),
        stop=_stop(fields.get("stop")),
        seed=whole(fields, "seed", -(2**63), 2**63 - 1),
        n=whole(fields, "n", 1, 8) or 1,
        logprobs=logprobs,
        top_logprobs=top,
        presence_penalty=number(fields, "presence_penalty", -2, 2),
        frequency_penalty=number(fields, "frequency_penalty", -2, 2),
        reasoning_effort=reasoning_effort,
        response_format=_response_format(fields.get("response_format")),
        extra=MappingProxyType(extra),
    )


def _stop(found: Any) -> tuple[str, ...]:
    if isinstance(found, str):
        found = [found]
    stops = listed(found, "stop", MAX_STOPS)
    for at, stop in enumerate(stops):
        if not isinstance(stop, str) or not 0 < len(stop) <= MAX_STOP_LENGTH:
            raise refuse(f"stop[{at}]", f"has to be a string of 1 to {MAX_STOP_LENGTH} characters")
    return tuple(stops)


def _response_format(found: Any) -> Mapping[str, Any] | None:
    if found is None:
        return None
    kind = mapped(found, "response_format").get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise refuse("response_format.type", "has to be `text`, `json_object` or `json_schema`")
    if kind == "json_schema":
        where = "response_format.json_schema"
        schema = mapped(found.get("json_schema"), where)
        if text(schema, "name", longest=128, param=f"{where}.name") is None:
            raise refuse(f"{where}.name", "is required")
        if schema.get("schema") is not None:
            mapped(schema["schema"], f"{where}.schema")
    return dict(found)


def _tools(found: Any) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for at, entry in enumerate(listed(found, "tools", MAX_TOOLS)):
        where = f"tools[{at}]"
        kind = text(mapped(entry, where), "type", longest=64, param=f"{where}.type")
        if kind is None:
            raise refuse(f"{where}.type", "is required; most tools are of type `function`")
        name = kind
        if kind in ("function", "custom"):
            inner = mapped(entry.get(kind), f"{where}.{kind}")
            found_name = inner.get("name")
            if not isinstance(found_name, str) or not _TOOL_NAME.fullmatch(found_name):
                raise refuse(f"{where}.{kind}.name", "has to be 1 to 128 letters, digits, `_`, `-`, `.`, `:` or `/`")
            name = found_name
            if inner.get("parameters") is not None:
                mapped(inner["parameters"], f"{where}.{kind}.parameters")
        tools.append(Tool(name, entry, kind))
    return tuple(tools)


def _tool_choice(found: Any, tools: tuple[Tool, ...]) -> ToolChoice | None:
    if found is None:
        return None
    if isinstance(found, str):
        if found not in ("auto", "none", "required"):
            raise refuse("tool_choice", "has to be `auto`, `none`, `required` or name one tool")
        if found == "required" and not tools:
            raise refuse("tool_choice", "is `required`, but `tools` is empty")
        return ToolChoice(ToolMode(found))
    kind = mapped(found, "tool_choice").get("type")
    if kind not in ("function", "custom"):
        raise refuse("tool_choice.type", "has to be `function` or `custom`; other forms are not taken")
    name = mapped(found.get(kind), f"tool_choice.{kind}").get("name")
    if not any(tool.name == name and tool.kind == kind for tool in tools):
        raise refuse(f"tool_choice.{kind}.name", "has to be the name of a tool in `tools`")
    return ToolChoice(ToolMode.NAMED, name)


def _ours(found: Any) -> Mapping[str, Any]:
    if found is None:
        return {}
    for name in mapped(found, "shoal"):
        if name not in _SHOAL:
            raise refuse(f"shoal.{name[:64]}", f"is not known; the fields are {', '.join(sorted(_SHOAL))}")
    return dict(found)


def _narrowing(ours: Mapping[str, Any], headers: Mapping[str, str]) -> Narrowing:
    only = _selectors(ours.get("only"), "shoal.only")
    exclude = _selectors(ours.get("exclude"), "shoal.exclude")
    header = next((value for name, value in headers.items() if name.lower() == "x-shoal-exclude"), None)
    if header is not None:
        entries = [entry.strip() for entry in header.split(",") if entry.strip()]
        exclude += _selectors(entries, "x-shoal-exclude")
    return Narrowing(only, exclude)


def _selectors(found: Any, where: str) -> tuple[Selector, ...]:
    selectors: list[Selector] = []
    for at, entry in enumerate(listed([found] if isinstance(found, str) else found, where, MAX_SELECTORS)):
        try:
            selectors.append(parse(entry))
        except CallerError as error:
            raise CallerError(error.message, param=f"{where}[{at}]", detail=error.detail) from error
    return tuple(selectors)


def _budget(found: Any) -> Decimal | None:
    if found is None:
        return None
    expected = f"has to be an amount of dollars from 0 to {MAX_BUDGET_USD}, as a number or a decimal string"
    if isinstance(found, bool) or not isinstance(found, int | float | str) or len(str(found)) > 32:
        raise refuse("shoal.budget_usd", expected)
    try:
        amount = Decimal(str(found))
    except InvalidOperation as error:
        raise refuse("shoal.budget_usd", expected) from error
    if not amount.is_finite() or not 0 <= amount <= MAX_BUDGET_USD:
        raise refuse("shoal.budget_usd", expected)
    return amount


def _deadline(ours: Mapping[str, Any]) -> float | None:
    seconds = number(ours, "deadline_s", 0, MAX_DEADLINE_S, param="shoal.deadline_s")
    if seconds == 0:
        raise refuse("shoal.deadline_s", "has to be more than 0")
    return seconds


def _template(found: Any) -> Template | None:
    if found is None:
        return None
    if not isinstance(found, str) or found not in set(Template):
        raise refuse("shoal.template", f"has to be one of {', '.join(Template)}")
    return Template(found)


def _label(found: Any) -> Label:
    """Return the label a client declares; labels only grow, so it can be stricter than what is detected, never less."""
    if found is None:
        return NOTHING
    for name in mapped(found, "shoal.label"):
        if name not in _SETS and name not in _FLAGS:
            raise refuse(f"shoal.label.{name[:64]}", f"is not known; the fields are {', '.join((*_SETS, *_FLAGS))}")
    sets: dict[str, frozenset[str]] = {}
    for name in _SETS:
        where = f"shoal.label.{name}"
        entries = listed(found.get(name), where, 64)
        for at, entry in enumerate(entries):
            if not isinstance(entry, str) or not 0 < len(entry) <= 64 or not entry.isprintable():
                raise refuse(f"{where}[{at}]", f"has to be a short string, found {kind_of(entry)}")
            if name == "subjects" and not _SUBJECT.fullmatch(entry):
                raise refuse(f"{where}[{at}]", "has to be a country in two capital letters, such as KR")
        sets[name] = frozenset(entries)
    personal, sensitive, credit_info, minor = (
        flag(found, name, param=f"shoal.label.{name}") or False for name in _FLAGS
    )
    return Label(sets["subjects"], sets["sectors"], sets["tags"], personal, sensitive, credit_info, minor)
