"""Inference: order within a piece of work, fairness between lanes, and work nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from shoal.practice.inference import Inference, QueueFull


def test_items_come_out_in_order_one_by_one_or_all_at_once() -> None:
    async def main() -> tuple[list[list[int]], list[list[int]]]:
        inference = Inference()
        each = [items async for items in inference.stream("a", lambda: iter(range(3)))]
        whole = [items async for items in inference.stream("a", lambda: iter(range(3)), each=False)]
        inference.stop()
        return each, whole

    each, whole = asyncio.run(main())
    assert [item for items in each for item in items] == [0, 1, 2]
    assert whole == [[0, 1, 2]]


def test_lanes_take_turns() -> None:
    order: list[str] = []
    gate = threading.Event()

    def work(name: str) -> Iterator[str]:
        gate.wait(5)
        order.append(name)
        yield name

    async def main() -> None:
        inference = Inference()

        async def ask(lane: str, name: str) -> None:
            async for _ in inference.stream(lane, lambda: work(name)):
                pass

        names = ["a0", "a1", "a2", "a3", "b0", "c0"]
        tasks = [asyncio.create_task(ask(name[0], name)) for name in names]
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(*tasks)
        inference.stop()

    asyncio.run(main())
    assert order.index("b0") <= 2 and order.index("c0") <= 3, order


def test_an_error_reaches_who_asked_and_nobody_else() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken weights")

    async def main() -> list[list[int]]:
        inference = Inference()
        with pytest.raises(ValueError, match="broken weights"):
            async for _ in inference.stream("a", broken):
                pass
        after = [items async for items in inference.stream("a", lambda: iter([7]), each=False)]
        inference.stop()
        return after

    assert asyncio.run(main()) == [[7]]


def test_leaving_early_ends_the_work() -> None:
    produced: list[int] = []

    def endless() -> Iterator[int]:
        n = 0
        while True:
            produced.append(n)
            yield n
            n += 1

    async def main() -> None:
        inference = Inference()
        stream = inference.stream("a", endless)
        await anext(stream)
        await stream.aclose()
        assert [items async for items in inference.stream("a", lambda: iter([1]), each=False)] == [[1]]
        inference.stop()

    asyncio.run(main())
    assert produced


def test_a_full_queue_refuses() -> None:
    gate = threading.Event()

    def blocked() -> Iterator[int]:
        gate.wait(5)
        yield 1

    async def main() -> None:
        inference = Inference(waiting=2)

        async def ask() -> None:
            async for _ in inference.stream("a", blocked):
                pass

        first = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(ask()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await ask()
        gate.set()
        await asyncio.gather(first, *waiting)
        inference.stop()

    asyncio.run(main())
