"""The scenarios of the conformance suite, each a promise of the dialect that holds at every provider.

Knows what a client may ask and what has to come of it. Knows no provider: where one differs, its twin's rules say how,
and a scenario that cannot apply says so by returning False.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from types import MappingProxyType

import orjson

from shoal.core.errors import Loss, RateLimited, UnreadableReply
from shoal.core.item import (
    Finish,
    Image,
    Message,
    Producer,
    Reasoning,
    Speaker,
    Text,
    ToolCall,
    ToolResult,
    say,
)
from shoal.core.request import Prompt, Sampling, ToolChoice, ToolMode
from shoal.simulation.strict.conformance import Case, Scenario, expect, prompt, tool
from shoal.simulation.strict.mind import THOUGHT
from shoal.simulation.strict.respond import UNKNOWN_MODEL

HELLO = "You said: hello there, 서울"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def answers(case: Case) -> bool:
    """A plain question, whole and streamed, with system and developer roles."""
    items = (say("be kind", Speaker.SYSTEM), say("be brief", Speaker.DEVELOPER), say("hello there, 서울"))
    heard = case.ask(Prompt(items))
    expect(heard.text == HELLO and heard.finish is Finish.STOP, f"heard {heard}")
    return True


def conversation(case: Case) -> bool:
    """Earlier turns, one of them with its thinking and one without, are taken."""
    turns = (
        say("one"),
        Reasoning("I thought."),
        say("first", Speaker.ASSISTANT),
        say("two"),
        say("second", Speaker.ASSISTANT),
        say("hello there, 서울"),
    )
    expect(case.ask(Prompt(turns)).text == HELLO, "the last message was not heard")
    return True


def text_parts(case: Case) -> bool:
    """Content in two text parts arrives whole."""
    heard = case.ask(prompt(Message(Speaker.USER, (Text("part one"), Text("part two")))))
    expect("part one" in heard.text and "part two" in heard.text, f"heard {heard.text!r}")
    return True


def cache_marks(case: Case) -> bool:
    """Cache marks go where they are read, and do no harm elsewhere."""
    marked = Text("long and stable", {"cache_control": {"type": "ephemeral"}})
    heard = case.ask(prompt(Message(Speaker.USER, (marked, Text("hello")))))
    wanted = 5 if case.twin.cache_marks == "read" else 0
    expect(heard.usage.cached == wanted, f"cached {heard.usage.cached}, wanted {wanted}")
    return True


def image(case: Case) -> bool:
    """An image part is handed on where the model takes images."""
    if "image" not in (case.endpoint.model.input or ()):
        return False
    heard = case.ask(prompt(Message(Speaker.USER, (Text("what is this?"), Image(PIXEL)))))
    expect(heard.text == "I see an image.", f"heard {heard.text!r}")
    return True


def tool_call(case: Case) -> bool:
    """A model calls a tool, whole and streamed, with readable arguments."""
    heard = case.ask(prompt("use the tool", tools=(tool("weather"),)))
    expect([name for name, _ in heard.calls] == ["weather"], f"called {heard.calls}")
    expect(orjson.loads(heard.calls[0][1]) == {"city": "Oslo"}, f"arguments {heard.calls[0][1]!r}")
    expect(heard.finish is Finish.TOOL_CALLS, f"finished with {heard.finish}")
    return True


def parallel_tools(case: Case) -> bool:
    """Two calls at once keep their order and their arguments; one is made where two are not allowed."""
    asked = replace(prompt("use the tool twice", tools=(tool("weather"),)), parallel_tool_calls=True)
    cities = [orjson.loads(arguments)["city"] for _, arguments in case.ask(asked).calls]
    expect(cities == ["Oslo", "서울"], f"called for {cities}")
    expect(len(case.ask(replace(asked, parallel_tool_calls=False)).calls) == 1, "two calls where one was allowed")
    return True


def forced_tool(case: Case) -> bool:
    """A tool is called because it is required, not because the question suggests it."""
    asked = replace(prompt("hello", tools=(tool("weather"),)), tool_choice=ToolChoice(ToolMode.REQUIRED))
    expect(len(case.ask(asked).calls) == 1, "no tool was called")
    return True


def named_tool(case: Case) -> bool:
    """The tool that is named is called, though another comes first."""
    choice = ToolChoice(ToolMode.NAMED, "second")
    asked = replace(prompt("hello", tools=(tool("first"), tool("second"))), tool_choice=choice)
    calls = case.ask(asked).calls
    expect([name for name, _ in calls] == ["second"], f"called {calls}")
    return True


def other_tools(case: Case) -> bool:
    """Tools of a kind the provider does not know do not spoil the ones it does."""
    asked = prompt("use the tool", tools=(tool("weather"), tool("grammar", "custom")))
    expect([name for name, _ in case.ask(asked).calls] == ["weather"], "the function tool was not called")
    return True


def tool_round_trip(case: Case) -> bool:
    """A tool's result goes back with the turn that asked for it, its thinking included, lost or another's."""
    producers = (Producer(case.endpoint.id, "m"), Producer("another/model", "m"))
    for thinking in (*(Reasoning("I need it.", producer) for producer in producers), None):
        turn = [] if thinking is None else [thinking]
        asked = prompt(
            "use the tool",
            *turn,
            ToolCall("call_1", "weather", '{"city":"Oslo"}'),
            ToolResult("call_1", (Text("rain"),)),
            tools=(tool("weather"),),
        )
        heard = case.ask(asked)
        expect(heard.text == "The tool says: rain", f"heard {heard.text!r}")
    return True


def json_schema(case: Case) -> bool:
    """A schema is followed, by the provider's own mode or by asking."""
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}, "why": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    heard = case.ask(prompt("answer in JSON", sampling=Sampling(response_format=form)))
    expect(orjson.loads(heard.text).keys() == {"answer", "why"}, f"heard {heard.text!r}")
    return True


def reasoning_on(case: Case) -> bool:
    """Asked to think, a model that shows its thinking shows it apart from the answer."""
    heard = case.ask(prompt("hello there, 서울", sampling=Sampling(reasoning_effort="high")))
    expect(heard.text == HELLO, f"heard {heard.text!r}")
    if case.twin.rules_for(case.endpoint.native_name).thinks == "never":
        return False
    expect(heard.reasoning.strip() == THOUGHT, f"thinking {heard.reasoning!r}")
    expect(heard.usage.reasoning > 0, "no reasoning tokens were counted")
    return True


def reasoning_off(case: Case) -> bool:
    """Asked not to think, a model that can be told so does not."""
    heard = case.ask(prompt("hello there, 서울", sampling=Sampling(reasoning_effort="none")))
    expect(heard.text == HELLO, f"heard {heard.text!r}")
    if case.twin.rules_for(case.endpoint.native_name).thinks in ("never", "always") or case.twin.switch == "none":
        return False
    if case.twin.switch == "effort" and case.twin.rules_for(case.endpoint.native_name).efforts:
        return False  # every word it knows means some thinking
    expect(heard.reasoning == "", f"thinking {heard.reasoning!r}")
    return True


def reasoning_words(case: Case) -> bool:
    """Every word for effort that OpenAI knows is taken."""
    for word in ("minimal", "low", "medium", "xhigh", "max"):
        expect(case.ask(prompt("hello there, 서울", sampling=Sampling(reasoning_effort=word))).text == HELLO, word)
    return True


def temperature(case: Case) -> bool:
    """Any temperature OpenAI allows is taken, also with several choices."""
    for value in (0.0, 0.2, 1.0, 1.9):
        sampling = Sampling(temperature=value, top_p=0.9)
        expect(case.ask(prompt("hello there, 서울", sampling=sampling)).text == HELLO, f"temperature {value}")
    heard = case.ask(prompt("hello there, 서울", sampling=Sampling(temperature=0.0, n=2)))
    expect(heard.choices == 2, f"{heard.choices} choices")
    return True


def stop(case: Case) -> bool:
    """A stop word ends the text before it."""
    heard = case.ask(prompt("one two three", sampling=Sampling(stop=("two",))))
    expect("one" in heard.text and "two" not in heard.text and heard.finish is Finish.STOP, f"heard {heard}")
    return True


def limit(case: Case) -> bool:
    """The output limit arrives under the name the provider reads."""
    heard = case.ask(prompt("one two three four five", sampling=Sampling(max_tokens=3)))
    expect(heard.finish is Finish.LENGTH and len(heard.text.split()) == 3, f"heard {heard}")
    return True


def limit_in_extra(case: Case) -> bool:
    """A limit that came in OpenAI's newer spelling, as a field nobody read, still arrives."""
    heard = case.ask(prompt("one two three four five", sampling=Sampling(extra={"max_completion_tokens": 3})))
    expect(heard.finish is Finish.LENGTH and len(heard.text.split()) == 3, f"heard {heard}")
    return True


def seed(case: Case) -> bool:
    """A seed arrives, and decides."""
    heard = case.ask(prompt("roll", sampling=Sampling(seed=7)))
    expect(heard.text == f"rolled {Random(7).randrange(10**6)}", f"heard {heard.text!r}")
    return True


def usage(case: Case) -> bool:
    """Tokens are counted, also in streams, and inner ones are added where they are billed."""
    found = case.ask(prompt("hello there")).usage
    wanted = 105 if case.twin.inner_usage else 5
    expect(found.input == wanted, f"input {found.input}, wanted {wanted}")
    expect(found.output >= (54 if case.twin.inner_usage else 4), f"output {found.output}")
    return True


def raw_markup(case: Case) -> bool:
    """Tool calls that a badly started server sends as text are noticed, not handed on."""
    if case.twin.parser:
        return False
    whole, streamed = _errors(case, "use the tool [no parser]")
    expect(isinstance(whole, UnreadableReply) and isinstance(streamed, UnreadableReply), f"{whole!r}, {streamed!r}")
    return True


def _errors(case: Case, words: str) -> tuple[Exception | None, Exception | None]:
    asked = prompt(words, tools=(tool("weather"),))
    found: list[Exception | None] = []
    for ask in (case.whole, case.streamed):
        try:
            ask(asked)
            found.append(None)
        except UnreadableReply as error:
            found.append(error)
    return found[0], found[1]


def _refused(case: Case, words: str, loss: Loss, kind: str | None = None) -> None:
    for error in case.refused(words):
        expect(error.loss is loss, f"{words}: {error.loss} instead of {loss}: {error}")
        if kind is not None:
            expect(error.detail.get("kind") == kind, f"{words}: kind {error.detail.get('kind')!r}")


def bad_key(case: Case) -> bool:
    """A wrong key parks the endpoint, and the key is not in the message."""
    if "none" in case.twin.auth:
        return False
    for error in replace(case, key="sk-twin-bad-key").refused("hello"):
        expect(error.loss is Loss.ACCOUNT and "bad-key" not in str(error), f"{error.loss}: {error}")
    return True


def scarce(case: Case) -> bool:
    """A rate limit carries its wait; a spent quota is scarce too."""
    for error in case.refused("[rate]"):
        expect(isinstance(error, RateLimited) and error.retry_after_s == 7, f"{error!r}")
    _refused(case, "[quota]", Loss.SCARCE)
    return True


def withdrawn(case: Case) -> bool:
    """A refusal of our region and a model that is gone are withdrawals; a key's scope is not."""
    _refused(case, "[region]", Loss.WITHDRAWN, "region")
    _refused(case, "[scope]", Loss.ACCOUNT)
    _refused(replace(case, endpoint=replace(case.endpoint, native_name=UNKNOWN_MODEL)), "hello", Loss.WITHDRAWN)
    return True


def filtered(case: Case) -> bool:
    """A filtered request is the request's loss, also where the status says success, and so is a filtered answer."""
    _refused(case, "[filter]", Loss.REQUEST, "content_filter")
    _refused(case, "[long]", Loss.REQUEST, "context_length")
    expect(case.ask(prompt("[refuse]")).finish is Finish.CONTENT_FILTER, "a filtered answer looks finished")
    return True


def broken(case: Case) -> bool:
    """An outage, a cut, garbage and an empty reply are told apart and never look like an answer."""
    _refused(case, "[down]", Loss.TRANSIENT)
    whole, streamed = case.refused("[cut]")
    expect(whole.loss is Loss.UNREADABLE and streamed.loss is Loss.TRANSIENT, f"cut: {whole.loss}, {streamed.loss}")
    _refused(case, "[garbage]", Loss.UNREADABLE)
    whole, streamed = case.refused("[empty]")
    expect(whole.loss is Loss.UNREADABLE and streamed.loss is Loss.TRANSIENT, f"empty: {whole.loss}, {streamed.loss}")
    late = case.lost("[late error]")
    expect(late.loss is Loss.TRANSIENT, f"late error: {late.loss}")
    return True


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.__name__: scenario
        for scenario in (
            answers,
            conversation,
            text_parts,
            cache_marks,
            image,
            tool_call,
            parallel_tools,
            forced_tool,
            named_tool,
            other_tools,
            tool_round_trip,
            json_schema,
            reasoning_on,
            reasoning_off,
            reasoning_words,
            temperature,
            stop,
            limit,
            limit_in_extra,
            seed,
            usage,
            raw_markup,
            bad_key,
            scarce,
            withdrawn,
            filtered,
            broken,
        )
    }
)
