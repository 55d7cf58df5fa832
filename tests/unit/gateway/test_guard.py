"""The guard keeps foreign hosts, foreign pages and callers without a key out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.errors import CallerError, KeyRefused, NotAllowed, SetupError
from shoal.gateway.guard import Guard, clean, host_name, is_loopback


def test_an_open_address_without_a_key_refuses_to_start() -> None:
    with pytest.raises(SetupError, match="no key is set"):
        Guard("0.0.0.0")


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0"])
def test_a_key_that_was_not_found_does_not_leave_the_door_open(bind: str) -> None:
    with pytest.raises(SetupError, match="empty or not found"):
        Guard(bind, keys=["real", " "])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "a.localhost"])
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.example.com", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", [b"127.0.0.1:8400", b"localhost", b"LocalHost:1", b"[::1]:8400", b"box.lan:8400"])
def test_names_of_this_instance_are_answered(host: bytes) -> None:
    assert Guard("127.0.0.1", hosts=["box.lan"]).admit({b"host": host}) is None


@pytest.mark.parametrize("host", [b"evil.com", b"127.0.0.1.evil.com", b"evil.com:8400", b"\xff\xfe", b"[::2]:1"])
def test_a_foreign_host_is_refused(host: bytes) -> None:
    with pytest.raises(NotAllowed, match="host name"):
        Guard("127.0.0.1").admit({b"host": host})


def test_an_empty_host_is_the_callers_mistake() -> None:
    with pytest.raises(CallerError, match="empty"):
        Guard("127.0.0.1").admit({b"host": b""})


@pytest.mark.parametrize("origin", [b"https://evil.com", b"null", b"http://[", b""])
def test_a_foreign_page_is_refused_where_no_key_is_asked_for(origin: bytes) -> None:
    with pytest.raises(NotAllowed, match="web page"):
        Guard("127.0.0.1").admit({b"host": b"localhost", b"origin": origin})


def test_a_page_of_this_machine_may_ask() -> None:
    assert Guard("127.0.0.1").admit({b"host": b"localhost", b"origin": b"http://localhost:3000"}) is None


def test_each_key_is_its_own_owner_and_never_shown() -> None:
    guard = Guard("0.0.0.0", keys=["alpha-secret", "beta-secret"])
    first = guard.admit({b"host": b"any.where", b"authorization": b"Bearer alpha-secret"})
    second = guard.admit({b"authorization": b"bearer  beta-secret "})
    assert first != second
    assert first is not None and first.startswith("key_") and "alpha" not in first
    assert "secret" not in repr(vars(guard))


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic alpha-secret", b"alpha-secret", b"Bearer alpha-secre", b"\xff"]
)
def test_a_missing_or_wrong_key_is_refused(header: bytes | None) -> None:
    headers = {b"host": b"h"} | ({b"authorization": header} if header is not None else {})
    with pytest.raises(KeyRefused) as refused:
        Guard("0.0.0.0", keys=["alpha-secret"]).admit(headers)
    assert refused.value.status == 401
    assert "alpha" not in refused.value.message


@given(st.text())
def test_a_header_value_is_always_printable_and_short(text: str) -> None:
    value = clean(text)
    assert len(value) <= 256
    assert all(0x20 <= byte <= 0x7E for byte in value)


@given(st.text(max_size=60))
def test_any_host_header_has_a_name(text: str) -> None:
    assert isinstance(host_name(text), str)


def test_many_hosts_do_not_fill_the_memory() -> None:
    guard = Guard("0.0.0.0", keys=["k"])
    for n in range(1000):
        guard.check_host({b"host": b"h%d" % n})
    assert len(guard._seen_hosts) <= 64
