"""Worlds: the same seed tells the same story, and every fault looks on the wire as it does in life."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest

from fakes import endpoint
from shoal.core.endpoint import Limits
from shoal.core.errors import UpstreamError
from shoal.pool.transport import Response
from shoal.simulation.clock import simulate
from shoal.simulation.fault import STATUS, Fault, Script, Span, always, first
from shoal.simulation.world import World, make_world
from shoal.wire.outgoing import Outgoing


async def whole(response: Response) -> bytes:
    """Return a whole body."""
    body = b""
    while data := await response.read():
        body += data
    return body


def call(world: World, number: int = 0, *, stream: bool = False, **fields: Any) -> tuple[int, bytes]:
    """Ask one provider and return status and body."""
    one = world.endpoints[number]
    body = orjson.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": stream} | fields)

    async def story() -> tuple[int, bytes]:
        response = await world.network.send(Outgoing("POST", f"{one.base_url}/chat/completions", {}, body), Limits())
        return response.status, await whole(response)

    return simulate(story())


def one(script: Script | None = None) -> World:
    world = World(3)
    world.add(endpoint("acme/one"), script)
    return world


def test_the_same_seed_makes_the_same_world_and_another_seed_another() -> None:
    assert make_world(1).endpoints == make_world(1).endpoints != make_world(2).endpoints
    assert call(make_world(1, outages=False)) == call(make_world(1, outages=False))


def test_what_a_provider_says_does_not_depend_on_the_others() -> None:
    alone, together = make_world(5, outages=False), make_world(5, outages=False)
    call(together, 1)
    assert call(alone, 0) == call(together, 0)


def test_a_script_goes_by_calls_first_and_by_time_after() -> None:
    script = Script({2: Fault.HANG}, (Span(Fault.E500, 10, 20),))
    assert [script.due(n, 0) for n in range(4)] == [None, None, Fault.HANG, None]
    assert script.due(0, 10) is Fault.E500 and script.due(0, 20) is None
    assert [first(2, Fault.CUT).due(n, 0) for n in range(3)] == [Fault.CUT, Fault.CUT, None]


@pytest.mark.parametrize("fault", list(STATUS))
def test_an_error_reply_has_its_status_and_says_why(fault: Fault) -> None:
    status, body = call(one(always(fault)))
    assert status == STATUS[fault][0] and orjson.loads(body)["error"]["message"] == STATUS[fault][2]


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.RESET, Fault.CUT])
@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_connection_breaks(fault: Fault, stream: bool) -> None:
    with pytest.raises(UpstreamError):
        call(one(always(fault)), stream=stream)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.STALL])
def test_silence_is_long(fault: Fault) -> None:
    async def story() -> None:
        world = one(always(fault))
        outgoing = Outgoing("POST", f"{world.endpoints[0].base_url}/x", {}, b'{"messages": []}')
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                response = await world.network.send(outgoing, Limits())
                await whole(response)

    simulate(story())


def test_slow_is_slower_and_still_whole() -> None:
    async def timed(script: Script | None) -> float:
        world = one(script)
        outgoing = Outgoing("POST", f"{world.endpoints[0].base_url}/x", {}, b'{"messages": []}')
        response = await world.network.send(outgoing, Limits())
        assert orjson.loads(await whole(response))["choices"]
        return asyncio.get_running_loop().time()

    assert simulate(timed(always(Fault.SLOW))) == pytest.approx(10 * simulate(timed(None)))


def test_a_stream_carries_the_same_words_as_a_whole_reply() -> None:
    _, whole = call(one())
    _, streamed = call(one(), stream=True)
    events = [line[6:] for line in streamed.split(b"\n") if line.startswith(b"data: {")]
    deltas = [orjson.loads(e)["choices"] for e in events]
    said = "".join(c["delta"].get("content", "") for choices in deltas for c in choices)
    reply = orjson.loads(whole)
    assert said == reply["choices"][0]["message"]["content"]
    assert orjson.loads(events[-1])["usage"] == reply["usage"] and streamed.endswith(b"data: [DONE]\n\n")


def test_an_answer_keeps_to_the_limit_it_was_given() -> None:
    _, body = call(one(), max_tokens=2)
    reply = orjson.loads(body)
    assert len(reply["choices"][0]["message"]["content"].split()) == 2
    assert reply["choices"][0]["finish_reason"] == "length" and reply["usage"]["completion_tokens"] == 2


def test_outages_come_in_many_kinds_over_many_seeds() -> None:
    kinds: Counter[Fault] = Counter()
    for seed in range(40):
        for provider in make_world(seed).providers.values():
            kinds.update(provider.script.calls.values())
            kinds.update(span.fault for span in provider.script.spans)
    assert set(kinds) == set(Fault)
