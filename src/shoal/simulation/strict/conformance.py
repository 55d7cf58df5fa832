"""The conformance suite: our dialect against every provider's strict twin, scenario by scenario.

Knows how to put a dialect, an endpoint and a twin into one room, and what must come out. Opens no socket: a prompt is
encoded, the twin replies, the reply is decoded, whole and streamed in pieces of seven bytes, and both must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urlsplit

from shoal.catalogue.endpoints import Builder
from shoal.catalogue.loader import Facts, load_facts
from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import UpstreamError
from shoal.core.item import (
    Answer,
    Delta,
    Finish,
    FinishDelta,
    Item,
    Reasoning,
    ReasoningDelta,
    Speaker,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageDelta,
    say,
)
from shoal.core.request import Prompt, Sampling, Tool
from shoal.simulation.strict.refusals import GOOD_KEY
from shoal.simulation.strict.respond import respond
from shoal.simulation.strict.twin import Twin, load_twins
from shoal.wire.dialects import Dialect

PIECE = 7  # bytes; odd and small, so that every event, character and line end is cut somewhere


class Mismatch(AssertionError):
    """A twin answered, and the answer is not what was asked for."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise Mismatch(otherwise)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out of one exchange, in the few words a scenario asks about."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str], ...]
    finish: Finish
    usage: Usage
    choices: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One endpoint at one twin, spoken to through one dialect."""

    dialect: Dialect
    twin: Twin
    endpoint: Endpoint
    key: str = GOOD_KEY

    def ask(self, prompt: Prompt) -> Heard:
        """Return what is heard, which has to be the same whole and streamed.

        Raises:
            UpstreamError: the twin refused.
            Mismatch: the two ways disagree.
        """
        whole = heard(self.whole(prompt))
        streamed = self.streamed(prompt)
        expect(whole == streamed, f"whole and streamed disagree: {whole} and {streamed}")
        return whole

    def whole(self, prompt: Prompt) -> Answer:
        """Return the answer of a call that is not streamed."""
        outgoing = self.dialect.encode(prompt, self.endpoint, stream=False, key=self.key)
        reply = respond(self.twin, outgoing.method, urlsplit(outgoing.url).path, outgoing.headers, outgoing.body)
        return self.dialect.decode(self.endpoint, reply.status, dict(reply.headers), b"".join(reply.chunks))

    def streamed(self, prompt: Prompt) -> Heard:
        """Return what a streamed call gives, decoded in small pieces."""
        outgoing = self.dialect.encode(prompt, self.endpoint, stream=True, key=self.key)
        reply = respond(self.twin, outgoing.method, urlsplit(outgoing.url).path, outgoing.headers, outgoing.body)
        data = b"".join(reply.chunks)
        if reply.status != 200:
            return heard(self.dialect.decode(self.endpoint, reply.status, dict(reply.headers), data))
        decoder = self.dialect.decoder(self.endpoint)
        deltas: list[Delta] = []
        for at in range(0, len(data), PIECE):
            deltas += decoder.feed(data[at : at + PIECE])
            if decoder.ended:
                break
        return folded([*deltas, *decoder.finish()])

    def refused(self, words: str) -> tuple[UpstreamError, UpstreamError]:
        """Return the errors that a prompt of these words ends in, whole and streamed."""
        prompt = Prompt((say(words),))
        return _error(lambda: self.whole(prompt)), _error(lambda: self.streamed(prompt))

    def lost(self, words: str) -> UpstreamError:
        """Return the error that a stream asked for with these words ends in."""
        return _error(lambda: self.streamed(Prompt((say(words),))))


def _error(call: Callable[[], object]) -> UpstreamError:
    try:
        call()
    except UpstreamError as error:
        return error
    raise Mismatch("no error was raised")


def heard(answer: Answer) -> Heard:
    """Return the first choice of an answer in a scenario's words."""
    choice = answer.choices[0]
    calls = tuple((item.name, item.arguments) for item in choice.items if isinstance(item, ToolCall))
    thoughts = "".join(item.text for item in choice.items if isinstance(item, Reasoning))
    return Heard(choice.text, thoughts, calls, choice.finish, answer.usage, len(answer.choices))


def folded(deltas: Iterable[Delta]) -> Heard:
    """Return what a stream said, in a scenario's words."""
    text, thoughts = "", ""
    names: dict[int, str | None] = {}
    arguments: dict[int, str] = {}
    finishes: dict[int, Finish] = {}
    usage = Usage()
    for delta in deltas:
        if isinstance(delta, UsageDelta):
            usage = delta.usage
        elif isinstance(delta, FinishDelta):
            finishes[delta.choice] = delta.finish
        elif isinstance(delta, TextDelta) and delta.choice == 0:
            text += delta.text
        elif isinstance(delta, ReasoningDelta) and delta.choice == 0:
            thoughts += delta.text
        elif isinstance(delta, ToolCallDelta) and delta.choice == 0:
            names.setdefault(delta.index, delta.name)
            arguments[delta.index] = arguments.get(delta.index, "") + delta.arguments
    calls = tuple((name or "", arguments[index]) for index, name in names.items())
    return Heard(text, thoughts, calls, finishes[0], usage, len(finishes))


Scenario = Callable[[Case], bool]
"""Plays one scenario; False where it does not apply here, an exception where it fails."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario went at one provider: how many endpoints it applied to, and the first failure."""

    played: int
    failure: str | None = None


def run(scenario: Scenario, dialect: Dialect, provider: str) -> Outcome:
    """Play a scenario at every endpoint of a provider, up to its first failure."""
    twin = load_twins()[provider]
    played = 0
    for endpoint in endpoints_of(provider):
        try:
            played += scenario(Case(dialect, twin, endpoint))
        except (Mismatch, UpstreamError, ValueError, KeyError) as error:
            return Outcome(played, f"{endpoint.id}: {error}")
    return Outcome(played)


@lru_cache(maxsize=1)
def _facts() -> Facts:
    return load_facts()


@lru_cache(maxsize=1)
def providers() -> tuple[str, ...]:
    """Return every provider of the catalogue that speaks the chat dialect somewhere."""
    builder = Builder(_facts())
    rows = _facts().providers.values()
    return tuple(sorted(row.id for row in rows if any(builder.speaks(row, place) for place in row.place)))


@lru_cache(maxsize=128)
def endpoints_of(provider: str) -> tuple[Endpoint, ...]:
    """Return a provider's chat endpoints, one for each path and model, and one of a plain model nobody knows."""
    facts = _facts()
    row, builder = facts.providers[provider], Builder(facts)
    places = [place for place in row.place if builder.speaks(row, place)]
    plain = Model(id="plain/plain-model", developer="plain", reasoning=False, input=("text",))
    found: dict[tuple[str, str], Endpoint] = {}
    for endpoint in (*builder.catalogue(row), builder.endpoint(row, places[0], "plain-model", None)):
        if endpoint.dialect == "openai-chat":
            found.setdefault((urlsplit(endpoint.base_url).path, endpoint.native_name), endpoint)
    return tuple(
        replace(
            endpoint,
            base_url=endpoint.base_url.replace("{account}", "acct"),
            model=plain if endpoint.native_name == "plain-model" else endpoint.model,
        )
        for endpoint in found.values()
    )


def tool(name: str, kind: str = "function") -> Tool:
    """Return a tool with one text parameter."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    inner = {"name": name, "description": "a tool", "parameters": schema} if kind == "function" else {"name": name}
    return Tool(name, {"type": kind, kind: inner}, kind)


def prompt(*items: Item | str, sampling: Sampling | None = None, tools: tuple[Tool, ...] = ()) -> Prompt:
    """Return a prompt of these items; a text stands for a user's message."""
    spoken = tuple(say(item, Speaker.USER) if isinstance(item, str) else item for item in items)
    return Prompt(spoken, sampling or Sampling(), tools)
