"""Seats and lines: never more at once than seats, first come first served, nobody forgotten."""

from __future__ import annotations

import asyncio

import pytest

from shoal.pool import limiter as limiting
from shoal.pool.limiter import Limiter, wait_for_seat
from shoal.pool.store import LocalStore, Table
from shoal.simulation.clock import simulate


def of(seats: int, name: str = "a", store: LocalStore | None = None) -> Limiter:
    return Limiter(name, seats, store or LocalStore())


def test_seats_run_out_and_come_back() -> None:
    limiter = of(2)
    assert limiter.take() and limiter.take() and not limiter.take()
    limiter.release()
    assert limiter.is_free and limiter.taken == 1


def test_seats_are_counted_in_the_store_so_that_two_limiters_share_them() -> None:
    store = LocalStore()
    one, other = of(1, store=store), of(1, store=store)
    assert one.take() and not other.take()
    assert store.read(Table.SEATS, "a") == 1
    one.release()
    assert store.read(Table.SEATS, "a") is None and other.take()


def test_a_freed_seat_goes_to_the_first_in_line() -> None:
    async def story() -> list[int]:
        limiter, order = of(1), []
        assert limiter.take()

        async def stand(number: int) -> None:
            assert await wait_for_seat([limiter], None) is limiter
            order.append(number)
            await asyncio.sleep(1)
            limiter.release()

        tasks = [asyncio.create_task(stand(n)) for n in range(4)]
        await asyncio.sleep(0.1)
        assert limiter.waiting == 4
        limiter.release()
        await asyncio.gather(*tasks)
        assert limiter.taken == 0 and limiter.waiting == 0
        return order

    assert simulate(story()) == [0, 1, 2, 3]


def test_one_waiter_may_stand_in_several_lines_and_takes_one_seat() -> None:
    async def story() -> None:
        store = LocalStore()
        a, b = of(1, "a", store), of(1, "b", store)
        assert a.take() and b.take()
        waiting = asyncio.create_task(wait_for_seat([a, b], None))
        await asyncio.sleep(0)
        b.release()
        a.release()
        assert await waiting is b
        assert (a.taken, b.taken, a.waiting, b.waiting) == (0, 1, 0, 0)

    simulate(story())


def test_waiting_ends_when_its_time_is_over() -> None:
    async def story() -> None:
        limiter = of(1)
        limiter.take()
        assert await wait_for_seat([limiter], 3.0) is None
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
        assert limiter.waiting == 0

    simulate(story())


def test_a_waiter_who_leaves_with_a_seat_in_hand_gives_it_back() -> None:
    async def story() -> None:
        limiter = of(1)
        limiter.take()
        waiting = asyncio.create_task(wait_for_seat([limiter], None))
        await asyncio.sleep(0)
        limiter.release()  # the seat is given ...
        waiting.cancel()  # ... and nobody comes to sit
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert limiter.taken == 0 and limiter.waiting == 0

    simulate(story())


def test_a_change_wakes_all_who_wait_to_look_around() -> None:
    async def story() -> None:
        limiter = of(1)
        limiter.take()
        waiting = [asyncio.create_task(wait_for_seat([limiter], None)) for _ in range(3)]
        await asyncio.sleep(0)
        limiter.wake()
        assert await asyncio.gather(*waiting) == [None, None, None]
        assert limiter.taken == 1

    simulate(story())


def test_fewer_seats_let_those_who_sit_finish() -> None:
    limiter = of(3)
    for _ in range(3):
        limiter.take()
    limiter.resize(1)
    limiter.release()
    limiter.release()
    assert limiter.taken == 1 and not limiter.is_free


def test_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "LINE", 2)

    async def story() -> None:
        limiter = of(1)
        limiter.take()
        tasks = [asyncio.create_task(wait_for_seat([limiter], 1.0)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not limiter.has_room
        await asyncio.gather(*tasks)
        assert limiter.has_room

    simulate(story())
