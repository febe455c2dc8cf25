"""Dynamic batching in front of a model's thread: greedy, no timer.

As soon as the thread is free, what waits goes in, up to a padded cost. A failing batch is tried again
one by one, so that the poison item alone gets its exception.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from .clock import Clock

In = TypeVar("In")
Out = TypeVar("Out")


class ModelThread:
    """The one thread that touches a model. Calls run in order; `lock` is held by the next batch.

    A daemon: a model that hangs must not keep the process from ending. But Python's own ending kills
    such a thread inside the model's C++, which aborts: whoever ends the process asks `any_busy` first.
    """

    _busy: ClassVar[set[ModelThread]] = set()

    @classmethod
    def any_busy(cls) -> bool:
        return bool(cls._busy)

    def __init__(self, name: str) -> None:
        self.lock = asyncio.Lock()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]
        self._calls = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], Out]) -> Out:
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._calls.put((call, future))
        return await future

    def close(self) -> None:
        """No call comes after this one. Does not wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            loop = future.get_loop()
            self._busy.add(self)
            try:
                result, error = call(), None
            except Exception as caught:  # it goes to whoever waits for the result
                result, error = None, caught
            finally:
                self._busy.discard(self)
            if loop.is_closed():
                return  # nobody waits any more: the program is ending
            loop.call_soon_threadsafe(_settle, future, result, error)


@dataclass(frozen=True, slots=True)
class Timed(Generic[Out]):
    """A result, how long it waited for the model and how long the model took, in seconds."""

    value: Out
    waited_s: float
    took_s: float


@dataclass(slots=True, eq=False)
class _Waiting(Generic[In, Out]):
    item: In
    since: float
    future: asyncio.Future[Timed[Out]]


class Batcher(Generic[In, Out]):
    """call: ordered, equal length, run on `thread`. cost: of one item; a batch closes before longest
    cost times count passes `budget` (a single item always goes).

    The queue is bounded by the sessions: each waits for its result before it submits again.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In]], list[Out]],
        thread: ModelThread,
        clock: Clock,
        *,
        cost: Callable[[In], float],
        budget: float,
    ) -> None:
        self._call = call
        self._thread = thread
        self._clock = clock
        self._cost = cost
        self._budget = budget
        self._waiting: deque[_Waiting[In, Out]] = deque()
        self._arrived = asyncio.Event()

    async def submit(self, item: In) -> Timed[Out]:
        """Wait for the result. Raises what the model raised for this item."""
        future: asyncio.Future[Timed[Out]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, self._clock.now(), future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._arrived.wait()
            async with self._thread.lock:
                # The batch is chosen only now that the thread is free: whoever came meanwhile is in.
                batch = self._take()
                if batch:
                    await self._run(batch)

    def _take(self) -> list[_Waiting[In, Out]]:
        batch: list[_Waiting[In, Out]] = []
        longest = 0.0
        while self._waiting:
            head = self._waiting[0]
            if head.future.done():  # cancelled: nobody waits for it
                self._waiting.popleft()
                continue
            longest = max(longest, self._cost(head.item))
            if batch and longest * (len(batch) + 1) > self._budget:
                break
            batch.append(self._waiting.popleft())
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _run(self, batch: list[_Waiting[In, Out]]) -> None:
        began = self._clock.now()
        try:
            results = await self._thread.run(lambda: self._checked([one.item for one in batch]))
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0].future, None, error)
                return
            for one in batch:
                await self._run([one])
            return
        took = self._clock.now() - began
        for one, value in zip(batch, results, strict=True):
            _settle(one.future, Timed(value, began - one.since, took), None)

    def _checked(self, items: list[In]) -> list[Out]:
        results = self._call(items)
        if len(results) != len(items):
            raise RuntimeError(f"expected {len(items)} results from the model, got {len(results)}")
        return results


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
