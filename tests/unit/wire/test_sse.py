"""Server-sent events: every line end, comment and cut, and the limits."""

from __future__ import annotations

import pytest

from shoal.core.errors import UnreadableReply
from shoal.wire.sse import EventParser, ServerEvent


def parsed(*pieces: bytes) -> list[ServerEvent]:
    parser = EventParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found + parser.finish()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_ends_a_line(end: bytes) -> None:
    data = end.join([b": a comment", b"data: one", b"", b"event: ping", b"data: two", b"", b""])
    assert parsed(data) == [ServerEvent("", b"one"), ServerEvent("ping", b"two")]


def test_data_lines_of_one_event_are_joined_by_a_newline() -> None:
    assert parsed(b"data: a\ndata:b\ndata\nid: 7\nretry: 10\n\n") == [ServerEvent("", b"a\nb")]


def test_a_byte_order_mark_is_dropped() -> None:
    assert parsed(b"\xef\xbb\xbfdata: x\n\n") == [ServerEvent("", b"x")]


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    assert parsed(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [ServerEvent("", b"a\nb")]


def test_a_last_event_without_its_blank_line_is_given_at_the_end() -> None:
    assert parsed(b"data: [DONE]") == [ServerEvent("", b"[DONE]")]


def test_events_without_data_are_nothing() -> None:
    assert parsed(b"event: ping\n\n\n\n: x\n\n") == []


@pytest.mark.parametrize("data", [b"data: " + b"x" * 200, b"data: xxxxxxxxx\n" * 20])
def test_a_line_or_an_event_over_the_limit_is_refused(data: bytes) -> None:
    parser = EventParser(max_bytes=100)
    with pytest.raises(UnreadableReply):
        for at in range(0, len(data), 10):
            parser.feed(data[at : at + 10])


def test_many_small_events_are_not_counted_together() -> None:
    parser = EventParser(max_bytes=100)
    assert sum(len(parser.feed(b"data: xxxxx\n\n")) for _ in range(1000)) == 1000
