"""Bounds: the most a call can cost before it is sent, and what it is taken to have cost where nobody says.

Knows prompts and prices. Knows no endpoint's tokenizer and counts none: no tokenizer in use needs more tokens than
the text has UTF-8 bytes, so bytes are an upper bound that is exact enough to keep a budget and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import orjson

from shoal.core.endpoint import Endpoint
from shoal.core.item import Image, Item, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, Usage
from shoal.core.money import Price
from shoal.core.request import Prompt

TOKENS_PER_ITEM = 16  # role markers and separators of the usual chat templates need 3 to 8
TOKENS_PER_CALL = 64  # a template's own preamble
TOKENS_PER_IMAGE = 4096  # above the dearest tiling of the providers in the catalogue for one image
OUTPUT = 4096  # where neither the request nor the facts bound the answer
OUTPUT_LEAST = 256  # an answer shorter than this is not worth sending for
BYTES_PER_TOKEN = 3  # for estimates only: English has about 4, Korean and Hindi 2 to 3


@dataclass(frozen=True, slots=True)
class Measure:
    """How large a prompt is: `most` tokens at most, `likely` ones by estimate. Measured once for a whole route."""

    most: int
    likely: int


def measure(prompt: Prompt) -> Measure:
    """Return the size of a prompt."""
    text, images, items = 0, 0, len(prompt.items)
    for item in prompt.items:
        more_text, more_images = _size(item)
        text += more_text
        images += more_images
    for tool in prompt.tools:
        text += len(_json(tool.raw))
        items += 1
    if prompt.sampling.response_format is not None:
        text += len(_json(prompt.sampling.response_format))
    fixed = items * TOKENS_PER_ITEM + TOKENS_PER_CALL
    return Measure(text + images * TOKENS_PER_IMAGE + fixed, text // BYTES_PER_TOKEN + images * 1024 + items * 4)


def _size(item: Item) -> tuple[int, int]:
    match item:
        case Message(parts=parts, name=name):
            return _parts(parts, len((name or "").encode("utf-8", "surrogatepass")))
        case ToolResult(parts=parts):
            return _parts(parts, len(item.call_id))
        case Reasoning(text=text):
            return _bytes(text), 0
        case ToolCall():
            return _bytes(item.name) + _bytes(item.arguments) + len(item.call_id), 0
        case Opaque(raw=raw):
            return len(_json(raw)), 0


def _parts(parts: Iterable[Part], text: int) -> tuple[int, int]:
    images = 0
    for part in parts:
        match part:
            case Text(text=words):
                text += _bytes(words)
            case Image():
                images += 1
            case _:
                text += len(_json(part.raw))
    return text, images


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=dict, option=orjson.OPT_NON_STR_KEYS)


def output_most(prompt: Prompt, endpoint: Endpoint) -> int:
    """Return how many tokens one answer may have at most, as far as anybody says."""
    said, able = prompt.sampling.max_tokens, endpoint.model.max_output
    return min(said, able) if said is not None and able is not None else said or able or OUTPUT


def clamp(prompt: Prompt, endpoint: Endpoint, size: Measure, left_usd: Decimal | None) -> Prompt:
    """Return the prompt with its answer bounded, so that the worst case of a call under a budget can be enforced.

    An answer the client did not bound may claim half of what is left at most, so that steps that run side by side do
    not starve each other, and never less than `OUTPUT_LEAST` tokens.
    """
    if left_usd is None:
        return prompt
    most = output_most(prompt, endpoint)
    price = endpoint.price
    if prompt.sampling.max_tokens is None and price is not None:
        per_token = _dearest(price)[1] * prompt.sampling.n
        if per_token > 0:
            room = left_usd / 2 - worst_usd(price, size, 0)
            most = max(min(most, int(room / per_token)), min(OUTPUT_LEAST, most))
    if prompt.sampling.max_tokens == most:
        return prompt
    return replace(prompt, sampling=replace(prompt.sampling, max_tokens=most))


def worst_usd(price: Price, size: Measure, output: int) -> Decimal:
    """Return the most a call can cost, whichever price tier its length falls into."""
    dear_in, dear_out = _dearest(price)
    return size.most * dear_in + output * dear_out


def _dearest(price: Price) -> tuple[Decimal, Decimal]:
    """Return the dearest dollars per token in and out over all tiers."""
    unit = price.usd_per_unit / 1_000_000
    dear_in = max([price.input, price.cached_input or Decimal(0), *(t.input for t in price.tiers)])
    return dear_in * unit, max([price.output, *(t.output for t in price.tiers)]) * unit


def estimate(size: Measure, characters: int) -> Usage:
    """Return the usage of a call nobody counted: the likely input, and a token per three characters written."""
    return Usage(size.likely, -(-characters // BYTES_PER_TOKEN))
