"""Greedy batches, closed on padded cost; poison hurts itself alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from emostream.streamer.batcher import Batcher, ModelThread
from emostream.streamer.clock import WallClock


class Gate:
    """A model that waits until the test lets it go; keeps the batches it saw."""

    def __init__(self, poison: Sequence[int] = ()) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.open = threading.Event()
        self._poison = poison

    def __call__(self, items: Sequence[int]) -> list[str]:
        assert self.open.wait(10)
        self.batches.append(list(items))
        self.threads.add(threading.get_ident())
        if any(item in self._poison for item in items):
            raise ValueError("poison")
        return [str(item) for item in items]


@asynccontextmanager
async def serving(
    model: Callable[[Sequence[int]], list[str]], budget: float = 100.0
) -> AsyncIterator[Batcher[int, str]]:
    thread = ModelThread("test")
    batcher = Batcher[int, str](model, thread, WallClock(), cost=float, budget=budget)
    loop = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        thread.close()


async def submit_all(batcher: Batcher[int, str], items: Sequence[int]) -> list[asyncio.Task[str]]:
    async def one(item: int) -> str:
        return (await batcher.submit(item)).value

    tasks = [asyncio.create_task(one(item)) for item in items]
    await asyncio.sleep(0)  # each has submitted; the first has gone to the model
    await asyncio.sleep(0)
    return tasks


async def test_what_waits_while_the_model_works_goes_in_together() -> None:
    model = Gate()
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [2, 3, 4])
        model.open.set()
        assert await asyncio.gather(*first, *rest) == ["1", "2", "3", "4"]
    assert model.batches == [[1], [2, 3, 4]]
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads


async def test_a_batch_closes_on_longest_times_count() -> None:
    model = Gate()
    async with serving(model, budget=12.0) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [3, 4, 5, 2, 20, 1])
        model.open.set()
        await asyncio.gather(*first, *rest)
    # 3, 4 cost 8; with 5 they would cost 15. 5, 2 cost 10. 20 goes alone, past the budget.
    assert model.batches == [[1], [3, 4], [5, 2], [20], [1]]


async def test_poison_hurts_nobody_else() -> None:
    model = Gate(poison=[3])
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [2, 3, 4])
        model.open.set()
        results = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [str(result) for result in results] == ["1", "2", "poison", "4"]
    assert isinstance(results[2], ValueError)


async def test_whoever_gave_up_is_not_computed() -> None:
    model = Gate()
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [2, 3])
        rest[0].cancel()
        await asyncio.gather(rest[0], return_exceptions=True)
        model.open.set()
        await asyncio.gather(*first, rest[1])
    assert model.batches == [[1], [3]]


async def test_a_model_that_gives_too_few_results_is_an_error_not_a_mix_up() -> None:
    async with serving(lambda items: ["only one"] * (len(items) - 1)) as batcher:
        with pytest.raises(RuntimeError, match="expected 1 results from the model, got 0"):
            await batcher.submit(1)


async def test_two_batchers_share_one_thread() -> None:
    """Both calls of one model run on its one thread, each in batches of its own."""
    thread = ModelThread("test")
    seen: list[tuple[str, int]] = []

    def call(name: str) -> Callable[[Sequence[int]], list[int]]:
        def run(items: Sequence[int]) -> list[int]:
            seen.append((name, threading.get_ident()))
            return list(items)

        return run

    batchers = [
        Batcher[int, int](call(name), thread, WallClock(), cost=float, budget=9.0) for name in ("a", "b")
    ]
    loops = [asyncio.create_task(batcher.run()) for batcher in batchers]
    await asyncio.gather(*(batcher.submit(i) for i in range(3) for batcher in batchers))
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    thread.close()
    assert {name for name, _ in seen} == {"a", "b"}
    assert len({ident for _, ident in seen}) == 1
