"""What the tour reads out of a run's story."""

from __future__ import annotations

import asyncio

from shoal.cli.tour import Guide, asked


def test_who_did_which_part_and_who_was_lost_on_the_way() -> None:
    lost = {"endpoint": "practice/a", "status": "failed"}
    done = {"endpoint": "practice/b", "status": "succeeded"}
    steps = [
        {"role": "solver", "plan": {"skill": "read:ja"}, "endpoint": "practice/b", "attempts": [lost, lost, done]},
        {"role": "verifier", "plan": {}, "endpoint": "practice/c", "attempts": []},
        {"role": "solver", "plan": {}, "endpoint": None, "attempts": [lost]},
    ]
    assert asked({"steps": steps}) == [("read:ja", "practice/b", ("practice/a",)), ("verifier", "practice/c", ())]


def test_a_quiet_guide_remembers_what_a_loud_one_says() -> None:
    guide = Guide(quiet=True)
    asyncio.run(guide.title("Ask", "why", "shoal ask"))
    guide.say("三百四十二", answer="三百四十二")
    assert guide.steps == [{"step": 1, "title": "Ask", "command": "shoal ask", "answer": "三百四十二"}]
