"""The fault matrix: whatever one endpoint does, whole replies survive it and streams never end falsely."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from fake_pool import data_of, sail, sea
from fakes import Notes
from shoal.core.errors import (
    CallerError,
    Loss,
    NoAbleEndpoint,
    StreamLost,
)
from shoal.core.event import Act
from shoal.core.item import CONTENT, Delta, FinishDelta, ServedDelta, TextDelta, UsageDelta
from shoal.pool.breaker import State
from shoal.simulation.fault import Fault, always, first
from shoal.simulation.network import Reply
from shoal.wire.outgoing import Outgoing

BEFORE_CONTENT = (
    Fault.REFUSE,
    Fault.RESET,
    Fault.HANG,
    Fault.GARBAGE,
    Fault.E401,
    Fault.E402,
    Fault.E403_REGION,
    Fault.E403_MODERATION,
    Fault.E404_MODEL,
    Fault.E429,
    Fault.E451,
    Fault.E500,
    Fault.E503,
    Fault.E400,
)
IN_THE_MIDDLE = (Fault.CUT, Fault.STALL, Fault.BAD_CHUNK, Fault.ERROR_EVENT)


@dataclass
class Told:
    """A host that answers as it is told."""

    said: Callable[[Outgoing], Awaitable[Reply]]

    async def connect(self) -> None:
        return None

    async def serve(self, outgoing: Outgoing) -> Reply:
        return await self.said(outgoing)


def text_of(seen: list[Delta]) -> str:
    return "".join(delta.text for delta in seen if isinstance(delta, TextDelta))


@pytest.mark.parametrize("fault", BEFORE_CONTENT + IN_THE_MIDDLE)
def test_a_whole_reply_survives_every_fault_of_the_first_endpoint(fault: Fault) -> None:
    async def story() -> None:
        s = sea(first(2, fault), None)
        notes = Notes()
        served = await s.follow(notes=notes)
        assert served.endpoint.id == "p1/m1"
        assert served.answer.text
        assert [a.succeeded for a in served.attempts][-1]
        assert s.world.network.under_way == 0
        assert notes.acts().count(Act.ATTEMPT_STARTED) == len(served.attempts)

    sail(story)


@pytest.mark.parametrize("fault", BEFORE_CONTENT)
def test_a_stream_hides_every_fault_before_the_first_content(fault: Fault) -> None:
    async def story() -> None:
        s = sea(first(2, fault), None)
        seen: list[Delta] = []
        served = await s.follow(seen=seen)
        assert served.endpoint.id == "p1/m1"
        assert text_of(seen) == served.answer.text != ""
        assert [d for d in seen if isinstance(d, ServedDelta)] == [ServedDelta("m1")]
        assert isinstance(seen[-1], UsageDelta) and isinstance(seen[-2], FinishDelta)
        assert s.world.network.under_way == 0

    sail(story)


@pytest.mark.parametrize("fault", IN_THE_MIDDLE)
def test_a_stream_lost_after_content_says_so_and_never_ends_cleanly(fault: Fault) -> None:
    async def story() -> None:
        s = sea(first(1, fault), None)
        seen: list[Delta] = []
        notes = Notes()
        with pytest.raises(StreamLost) as lost:
            await s.follow(seen=seen, notes=notes)
        assert any(isinstance(d, CONTENT) for d in seen)
        assert not any(isinstance(d, FinishDelta | UsageDelta) for d in seen)
        assert text_of(seen).strip() not in str(lost.value) + str(lost.value.detail)
        assert len(s.world.network.sent) == 1, "nobody else may answer"
        assert data_of(notes, Act.ATTEMPT_FAILED)[0]["committed"] is True
        assert s.world.network.under_way == 0

    sail(story)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("failures", range(6))
def test_a_route_survives_every_number_of_failed_calls(failures: int, streamed: bool) -> None:
    async def story() -> None:
        # Three endpoints, two tries each: a route is lost exactly when all six calls fail.
        s = sea(*(first(min(2, max(0, failures - 2 * n)), Fault.E500) for n in range(3)))
        served = await s.follow(seen=[] if streamed else None)
        assert sum(not a.succeeded for a in served.attempts) <= failures
        assert served.attempts[-1].succeeded

    sail(story)


def test_a_route_whose_every_call_fails_ends_in_one_error_that_lists_them() -> None:
    async def story() -> None:
        s = sea(*(always(Fault.E500) for _ in range(3)))
        with pytest.raises(NoAbleEndpoint) as lost:
            await s.follow()
        tried = [row["endpoint"] for row in lost.value.detail["attempts"]]
        assert sorted(tried) == ["p0/m0", "p0/m0", "p1/m1", "p1/m1", "p2/m2", "p2/m2"]

    sail(story)


def test_a_withdrawal_in_the_middle_of_a_stream_leaves_no_endpoint_in_limbo() -> None:
    async def story() -> None:
        s = sea(None)
        event = b'data: {"error": {"code": "unsupported_country", "message": "not available in your country"}}\n\n'
        body = b'data: {"choices": [{"index": 0, "delta": {"content": "so"}}]}\n\n' + event

        async def said(outgoing: Outgoing) -> Reply:
            async def pieces() -> AsyncGenerator[bytes, None]:
                yield body

            return Reply(200, {}, pieces())

        s.world.network.hosts[s.world.endpoints[0].base_url] = Told(said)
        with pytest.raises(StreamLost) as lost:
            await s.follow(seen=[])
        assert lost.value.loss is Loss.WITHDRAWN
        assert s.pool.health("p0/m0").state is State.CLOSED

    sail(story)


def test_answers_without_anything_in_them_are_no_answers() -> None:
    async def story() -> None:
        s = sea(None, None)
        s.world.providers["p0/m0"].mind = lambda body, random: ""
        for streamed in (False, True):
            assert (await s.follow(seen=[] if streamed else None)).endpoint.id == "p1/m1"

    sail(story)


def test_nonsense_asked_of_a_model_with_few_skills_does_not_take_it_from_others() -> None:
    async def story() -> None:
        s = sea(None, skills=frozenset({"add"}))
        s.world.providers["p0/m0"].mind = lambda body, random: ""
        for _ in range(12):
            with pytest.raises(CallerError, match="only taught add"):
                await s.follow()
        assert s.pool.ailment("p0/m0") is None

    sail(story)
