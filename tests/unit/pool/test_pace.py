"""Pace: a limit is learned only when enough was seen, and leaves room for long prompts and long answers."""

from __future__ import annotations

from shoal.pool.pace import FLOOR_S, LEAST, Pace


def seen(times: int, *, streamed: bool = True, first_byte_s: float = 0.5, output: int = 10) -> Pace:
    pace = Pace()
    for _ in range(times):
        pace.note(streamed=streamed, first_byte_s=first_byte_s, latency_s=first_byte_s, output=output)
    return pace


def test_the_facts_limit_holds_until_enough_was_seen() -> None:
    assert seen(LEAST - 1).first_byte_s(60, streamed=True, prompt_bytes=0, output=1) == 60
    assert seen(LEAST).first_byte_s(60, streamed=True, prompt_bytes=0, output=1) == 4.0


def test_a_learned_limit_never_exceeds_the_facts_nor_falls_below_a_second() -> None:
    assert seen(LEAST, first_byte_s=20).first_byte_s(60, streamed=True, prompt_bytes=0, output=1) == 60
    assert seen(LEAST, first_byte_s=0.001).first_byte_s(60, streamed=True, prompt_bytes=0, output=1) == FLOOR_S


def test_a_long_prompt_gets_time_to_be_read() -> None:
    assert seen(LEAST).first_byte_s(60, streamed=True, prompt_bytes=40_000, output=1) == 14.0


def test_a_whole_reply_gets_time_for_as_long_an_answer_as_may_come() -> None:
    pace = seen(LEAST, streamed=False, first_byte_s=1.0, output=10)
    assert pace.first_byte_s(600, streamed=False, prompt_bytes=0, output=10) == 8.0
    assert pace.first_byte_s(600, streamed=False, prompt_bytes=0, output=400) == 320.0
    assert pace.first_byte_s(600, streamed=True, prompt_bytes=0, output=10) == 600


def test_a_crowd_of_our_own_making_is_no_hang() -> None:
    pace = seen(LEAST, first_byte_s=0.01)
    assert pace.first_byte_s(60, streamed=True, prompt_bytes=0, output=1, under_way=1) == 1.0
    assert pace.first_byte_s(60, streamed=True, prompt_bytes=0, output=1, under_way=41) == 6.0
    assert pace.first_byte_s(60, streamed=True, prompt_bytes=0, output=1, is_here=True) == 3.0


def test_the_latency_is_a_running_mean() -> None:
    pace = seen(1, first_byte_s=1.0)
    assert pace.latency_s == 1.0
    pace.note(streamed=True, first_byte_s=2.0, latency_s=2.0, output=1)
    assert pace.latency_s == 1.2
