"""Greedy batches, closed at a padded cost; a failing item fails alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from emostream.streamer.clock import WallClock
from emostream.streamer.inference.batcher import Batcher
from emostream.streamer.inference.model_worker import ModelWorker
from emostream.streamer.inference.request import ComputeTime, Priority, RequestContext, RequestShedError


class BlockedModel:
    """A model that blocks until the test sets `unblock`; keeps its batches."""

    def __init__(self, poison: Sequence[int] = ()) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.unblock = threading.Event()
        self._poison = poison

    def __call__(self, items: Sequence[int]) -> list[str]:
        assert self.unblock.wait(10)
        self.batches.append(list(items))
        self.threads.add(threading.get_ident())
        if any(item in self._poison for item in items):
            raise ValueError("poison")
        return [str(item) for item in items]


@asynccontextmanager
async def serving(
    model: Callable[[Sequence[int]], list[str]], budget: float = 100.0
) -> AsyncIterator[Batcher[int, str]]:
    worker = ModelWorker("test")
    batcher = Batcher[int, str](model, worker, WallClock(), cost=float, budget=budget)
    loop = asyncio.create_task(worker.serve())
    try:
        yield batcher
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        worker.close()


async def submit_all(batcher: Batcher[int, str], items: Sequence[int]) -> list[asyncio.Task[str]]:
    async def one(item: int) -> str:
        return (await batcher.submit(item, RequestContext())).value

    tasks = [asyncio.create_task(one(item)) for item in items]
    await asyncio.sleep(0)  # each has submitted; the first has gone to the model
    await asyncio.sleep(0)
    return tasks


async def test_items_that_wait_while_the_model_works_form_a_batch() -> None:
    model = BlockedModel()
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [2, 3, 4])
        model.unblock.set()
        assert await asyncio.gather(*first, *rest) == ["1", "2", "3", "4"]
    assert model.batches == [[1], [2, 3, 4]]
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads


async def test_a_batch_closes_on_longest_times_count() -> None:
    model = BlockedModel()
    async with serving(model, budget=12.0) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [3, 4, 5, 2, 20, 1])
        model.unblock.set()
        await asyncio.gather(*first, *rest)
    # 3, 4 cost 8; with 5 they would cost 15. 5, 2 cost 10. 20 goes alone, past the budget.
    assert model.batches == [[1], [3, 4], [5, 2], [20], [1]]


async def test_a_failing_item_does_not_fail_the_others() -> None:
    model = BlockedModel(poison=[3])
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [2, 3, 4])
        model.unblock.set()
        results = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [str(result) for result in results] == ["1", "2", "poison", "4"]
    assert isinstance(results[2], ValueError)


async def test_a_cancelled_item_is_not_computed() -> None:
    model = BlockedModel()
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        rest = await submit_all(batcher, [2, 3])
        rest[0].cancel()
        await asyncio.gather(rest[0], return_exceptions=True)
        model.unblock.set()
        await asyncio.gather(*first, rest[1])
    assert model.batches == [[1], [3]]


async def test_too_few_results_of_a_model_are_an_error() -> None:
    async with serving(lambda items: ["only one"] * (len(items) - 1)) as batcher:
        with pytest.raises(RuntimeError, match="expected 1 results from the model, got 0"):
            await batcher.submit(1, RequestContext())


async def test_two_batchers_share_one_thread() -> None:
    """Both calls of one model run on its one thread, each in batches of its own."""
    worker = ModelWorker("test")
    seen: list[tuple[str, int]] = []

    def call(name: str) -> Callable[[Sequence[int]], list[int]]:
        def run(items: Sequence[int]) -> list[int]:
            seen.append((name, threading.get_ident()))
            return list(items)

        return run

    batchers = [
        Batcher[int, int](call(name), worker, WallClock(), cost=float, budget=9.0) for name in ("a", "b")
    ]
    loop = asyncio.create_task(worker.serve())
    await asyncio.gather(*(batcher.submit(i, RequestContext()) for i in range(3) for batcher in batchers))
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    worker.close()
    assert {name for name, _ in seen} == {"a", "b"}
    assert len({ident for _, ident in seen}) == 1


async def submit_as(
    batcher: Batcher[int, str], requests_by_item: dict[int, RequestContext]
) -> dict[int, asyncio.Task[str]]:
    async def one(item: int, request: RequestContext) -> str:
        return (await batcher.submit(item, request)).value

    tasks = {item: asyncio.create_task(one(item, request)) for item, request in requests_by_item.items()}
    await asyncio.sleep(0)
    return tasks


class TestPriority:
    async def test_finals_go_first_and_in_a_batch_of_their_own(self) -> None:
        model = BlockedModel()
        async with serving(model) as batcher:
            first = await submit_all(batcher, [1])
            order = [
                Priority.INTERIM,
                Priority.CANDIDATE,
                Priority.FINAL,
                Priority.CANDIDATE,
                Priority.FINAL,
            ]
            rest = await submit_as(
                batcher, {item: RequestContext(priority) for item, priority in enumerate(order, 2)}
            )
            model.unblock.set()
            await asyncio.gather(*first, *rest.values())
        assert model.batches == [[1], [4, 6], [3, 5], [2]]

    async def test_a_candidate_that_becomes_a_final_moves_up(self) -> None:
        model = BlockedModel()
        async with serving(model) as batcher:
            first = await submit_all(batcher, [1])
            requests = {item: RequestContext(Priority.CANDIDATE) for item in (2, 3, 4)}
            rest = await submit_as(batcher, requests)
            requests[4].priority = Priority.FINAL
            model.unblock.set()
            await asyncio.gather(*first, *rest.values())
        assert model.batches == [[1], [4], [2, 3]]

    async def test_items_that_are_not_finals_are_shed_interim_results_first(self) -> None:
        model = BlockedModel()
        async with serving(model) as batcher:
            first = await submit_all(batcher, [100])
            finals = await submit_as(batcher, {item: RequestContext() for item in range(200, 240)})
            kept = await submit_as(batcher, {item: RequestContext(Priority.CANDIDATE) for item in range(31)})
            shed = await submit_as(batcher, {31: RequestContext(Priority.INTERIM)})
            last = await submit_as(batcher, {32: RequestContext(Priority.CANDIDATE)})
            for refused in (33, Priority.CANDIDATE), (34, Priority.INTERIM):
                with pytest.raises(RequestShedError):
                    await batcher.submit(refused[0], RequestContext(refused[1]))
            with pytest.raises(RequestShedError):
                await shed[31]
            more = await submit_as(batcher, {300: RequestContext()})
            model.unblock.set()
            await asyncio.gather(*first, *finals.values(), *kept.values(), *last.values(), *more.values())
        done = [item for batch in model.batches for item in batch]
        assert sorted(done) == [*range(31), 32, 100, *range(200, 240), 300]

    async def test_recordings_go_last_and_are_never_shed(self) -> None:
        model = BlockedModel()
        async with serving(model) as batcher:
            first = await submit_all(batcher, [1])
            recordings = {item: RequestContext(Priority.RECORDING) for item in range(100, 150)}
            rest = await submit_as(batcher, recordings)
            rest |= await submit_as(batcher, {2: RequestContext(Priority.INTERIM), 3: RequestContext()})
            model.unblock.set()
            await asyncio.gather(*first, *rest.values())
        assert model.batches[:3] == [[1], [3], [2]]
        assert sorted(item for batch in model.batches[3:] for item in batch) == list(recordings)

    async def test_of_two_queues_of_one_worker_the_higher_priority_goes_first(self) -> None:
        worker, model = ModelWorker("test"), BlockedModel()
        early, late = (
            Batcher[int, str](model, worker, WallClock(), cost=float, budget=9.0) for _ in range(2)
        )
        loop = asyncio.create_task(worker.serve())
        tasks = await submit_as(early, {1: RequestContext()})
        await asyncio.sleep(0)
        tasks |= await submit_as(early, {2: RequestContext(Priority.CANDIDATE), 3: RequestContext()})
        tasks |= await submit_as(late, {4: RequestContext(), 5: RequestContext(Priority.CANDIDATE)})
        model.unblock.set()
        await asyncio.gather(*tasks.values())
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        worker.close()
        assert model.batches == [[1], [3], [4], [2], [5]]


async def test_no_batch_holds_two_of_one_stream() -> None:
    model, stream, other = BlockedModel(), object(), object()
    async with serving(model) as batcher:
        first = await submit_all(batcher, [1])
        requests = {
            item: RequestContext(stream=owner)
            for item, owner in ((2, stream), (3, stream), (4, other), (5, None))
        }
        rest = await submit_as(batcher, requests)
        model.unblock.set()
        await asyncio.gather(*first, *rest.values())
    assert model.batches == [[1], [2, 4, 5], [3]]


class TestComputeTime:
    async def test_each_request_has_its_share(self) -> None:
        time = ComputeTime()
        requests = {item: RequestContext(total=time) for item in (1, 2, 3)}
        async with serving(lambda items: [str(item) for item in items]) as batcher:
            await asyncio.gather(*(await submit_as(batcher, requests)).values())
        assert all(request.compute_s > 0 for request in requests.values())
        assert sum(request.compute_s for request in requests.values()) == pytest.approx(time.compute_s)
        assert time.wasted_compute_s == 0

    async def test_a_discarded_request_is_wasted_though_its_call_ends_later(self) -> None:
        model, time = BlockedModel(), ComputeTime()
        async with serving(model) as batcher:
            requests = {1: RequestContext(total=time), 2: RequestContext(total=time)}
            running = await submit_as(batcher, {1: requests[1]})
            await asyncio.sleep(0)
            assert requests[1].running_calls == 1
            running[1].cancel()
            requests[1].discard()
            rest = await submit_as(batcher, {2: requests[2]})
            model.unblock.set()
            await rest[2]
        assert requests[1].running_calls == 0
        assert time.wasted_compute_s == requests[1].compute_s > 0
        assert time.compute_s == pytest.approx(requests[1].compute_s + requests[2].compute_s)

    def test_what_gives_way_is_counted_apart(self) -> None:
        time = ComputeTime()
        RequestContext(Priority.RECORDING, total=time).record_compute(2.0, "asr")
        RequestContext(Priority.INTERIM, total=time, interim_words=True).record_compute(1.0, "asr")
        RequestContext(total=time).record_compute(4.0, "asr")
        assert (time.recordings_s(), time.interim_words_s(), time.compute_s) == (2.0, 1.0, 7.0)
        assert (time.deferrable_s("asr"), time.deferrable_s("emotion")) == (3.0, 0.0)

    def test_discarding_twice_counts_once(self) -> None:
        time = ComputeTime()
        request = RequestContext(total=time)
        request.record_compute(2.0, "emotion")
        request.discard()
        request.discard()
        assert (time.compute_s, time.wasted_compute_s) == (2.0, 2.0)


class CallsMeeting:
    """A model that takes two calls at once: each waits until the other one has begun."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._both = threading.Barrier(2)

    def __call__(self, items: Sequence[int]) -> list[str]:
        self._both.wait(10)
        self.batches.append(list(items))
        return [str(item) for item in items]


async def test_two_threads_share_what_waits_and_compute_at_once() -> None:
    model, worker = CallsMeeting(), ModelWorker("test", threads=2)
    batcher = Batcher[int, str](model, worker, WallClock(), cost=float, budget=100.0)
    tasks = await submit_all(batcher, [1, 2, 3])
    loop = asyncio.create_task(worker.serve())
    assert await asyncio.gather(*tasks) == ["1", "2", "3"]
    assert sorted(model.batches) == [[1, 2], [3]]
    assert not ModelWorker.any_busy()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    worker.close()


async def test_a_worker_is_unresponsive_while_one_of_its_threads_is() -> None:
    worker = ModelWorker("test", call_timeout_s=0.0, threads=2)
    begun, release = threading.Event(), threading.Event()

    def wait_for_release() -> None:
        begun.set()
        assert release.wait(10)

    waiting = asyncio.create_task(worker.run(wait_for_release))
    await worker.run(lambda: None)
    assert await asyncio.to_thread(begun.wait, 10)
    assert ModelWorker.any_busy()
    unresponsive = [worker.unresponsive]
    release.set()
    await waiting
    assert [*unresponsive, worker.unresponsive] == [True, False]
    worker.close()


async def test_the_last_free_thread_is_kept_for_what_cannot_wait() -> None:
    """A call that has begun cannot be interrupted, and a final would wait for it."""
    model, worker = BlockedModel(), ModelWorker("test", threads=2)
    batcher = Batcher[int, str](model, worker, WallClock(), cost=float, budget=1.0)
    serving_it = asyncio.create_task(worker.serve())
    interim = [
        await submit_as(batcher, {item: RequestContext(priority)})
        for item, priority in ((1, Priority.INTERIM), (2, Priority.RECORDING), (3, Priority.FINAL))
    ]
    model.unblock.set()
    await asyncio.gather(*(task for tasks in interim for task in tasks.values()))
    assert sorted(model.batches[:2]) == [[1], [3]]
    assert model.batches[2] == [2]
    serving_it.cancel()
    await asyncio.gather(serving_it, return_exceptions=True)
    worker.close()
