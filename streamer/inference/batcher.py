"""Dynamic batching in front of a model's thread: greedy, without a timer.

As soon as the thread is free, the waiting items go in, up to a padded cost: finals before candidates before
interim results before recordings, and never two of these in one batch, because every item of a batch waits
for all of it. A batch that fails is run again one by one, so that only the item that causes the failure gets
its exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ..clock import Clock
from .model_worker import ModelWorker, settle
from .request import Priority, RequestContext, RequestShedError

_MAX_SHEDDABLE: Final = 32
"""So many candidates and interim results may wait; past that new ones are shed, an interim result first."""

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TimedResult(Generic[Out]):
    """A result, how long it waited for the model and how long the model took, in seconds."""

    value: Out
    waited_s: float
    took_s: float


@dataclass(slots=True, eq=False)
class _Waiting(Generic[In, Out]):
    item: In
    request: RequestContext
    queued_at: float
    future: asyncio.Future[TimedResult[Out]]

    @property
    def wanted(self) -> bool:
        """A caller that gave up has cancelled the future."""
        return not self.future.done()


class Batcher(Generic[In, Out]):
    """A queue of one model function's items, run in batches on the model's worker.

    call: ordered, results of equal length. cost: of one item; a batch closes before the longest item's cost
    times the count passes `budget` (a single item always goes).

    Finals and recordings are bounded by the sessions, which have a few in progress at most; the rest is
    shed.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In]], list[Out]],
        worker: ModelWorker,
        clock: Clock,
        *,
        cost: Callable[[In], float],
        budget: float,
    ) -> None:
        self._call = call
        self._worker = worker
        self._clock = clock
        self._cost = cost
        self._budget = budget
        self._waiting: list[_Waiting[In, Out]] = []
        worker.register(self)

    @property
    def highest_priority(self) -> Priority | None:
        """Of the waiting items; None where there are none."""
        return min((entry.request.priority for entry in self._waiting if entry.wanted), default=None)

    async def submit(self, item: In, request: RequestContext) -> TimedResult[Out]:
        """Wait for the result. Raises what the model raised for this item, and RequestShedError."""
        if request.priority.sheddable:
            self._shed_for(request.priority)
        future: asyncio.Future[TimedResult[Out]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, request, self._clock.now(), future))
        self._worker.wake()
        return await future

    async def run_next_batch(self) -> None:
        """The batch is chosen only now that the thread is free, so items that came meanwhile are in it."""
        batch = self._take_batch()
        if batch:
            await self._run(batch)

    def _shed_for(self, priority: Priority) -> None:
        """Make space for one more item that is not a final, or raise RequestShedError."""
        sheddable = [entry for entry in self._waiting if entry.wanted and entry.request.priority.sheddable]
        if len(sheddable) < _MAX_SHEDDABLE:
            return
        last = max(reversed(sheddable), key=lambda entry: entry.request.priority)
        if last.request.priority <= priority:
            raise RequestShedError
        settle(last.future, None, RequestShedError())

    def _take_batch(self) -> list[_Waiting[In, Out]]:
        """The first item of the highest priority, and the next ones of that priority that fit; one a stream.
        Of several threads, each takes its share of what waits.

        The last digits of a result depend on the other items of its batch, and a stream that is alone on the
        server is to get the same results however its audio was cut into blocks.
        """
        waiting = [entry for entry in self._waiting if entry.wanted]
        highest = min((entry.request.priority for entry in waiting), default=None)
        batch: list[_Waiting[In, Out]] = []
        share = -(-len(waiting) // self._worker.threads)
        longest = 0.0
        for entry in waiting:
            request = entry.request
            if request.priority is not highest or any(
                _same_stream(request, other.request) for other in batch
            ):
                continue
            longest = max(longest, self._cost(entry.item))
            if batch and (longest * (len(batch) + 1) > self._budget or len(batch) == share):
                break
            batch.append(entry)
        self._waiting = [entry for entry in waiting if entry not in batch]
        return batch

    async def _run(self, batch: list[_Waiting[In, Out]]) -> None:
        started_at = self._clock.now()
        for entry in batch:
            entry.request.running_calls += 1
        results: list[Out] = []
        failure: Exception | None = None
        try:
            call = self._worker.run(lambda: self._call_model([entry.item for entry in batch]))
            results = await self._with_timeout(call, batch)
        except Exception as error:
            failure = error
        took_s = self._clock.now() - started_at
        for entry in batch:
            entry.request.running_calls -= 1
            entry.request.record_compute(took_s / len(batch), self._worker.name, self._worker.threads)
        if failure is None:
            for entry, value in zip(batch, results, strict=True):
                settle(entry.future, TimedResult(value, started_at - entry.queued_at, took_s), None)
        elif len(batch) == 1:
            settle(batch[0].future, None, failure)
        else:
            for entry in batch:
                if entry.wanted:  # those that were cancelled or timed out meanwhile are not run again
                    await self._run([entry])

    async def _with_timeout(
        self, call: Coroutine[Any, Any, list[Out]], batch: Sequence[_Waiting[In, Out]]
    ) -> list[Out]:
        """The call's results. The callers of one that takes too long get a TimeoutError; this waits for its
        end all the same, because the thread is not free before.
        """
        if self._worker.call_timeout_s is None:
            return await call
        running = asyncio.create_task(call, name="call a model")
        try:
            while not (await asyncio.wait({running}, timeout=self._worker.call_timeout_s))[0]:
                for entry in batch:
                    settle(entry.future, None, self._timeout_error())
                self._worker.expire_waiting_calls()
        finally:
            running.cancel()
        return running.result()

    def expire_waiting(self) -> None:
        """Fail the items that have waited longer than a call may take."""
        timeout_s = self._worker.call_timeout_s
        assert timeout_s is not None
        for entry in self._waiting:
            if self._clock.now() - entry.queued_at > timeout_s:
                settle(entry.future, None, self._timeout_error())

    def _timeout_error(self) -> Exception:
        return TimeoutError(f"expected an answer within {self._worker.call_timeout_s:g} s, got none")

    def _call_model(self, items: list[In]) -> list[Out]:
        results = self._call(items)
        if len(results) != len(items):
            raise RuntimeError(f"expected {len(items)} results from the model, got {len(results)}")
        return results


def _same_stream(one: RequestContext, other: RequestContext) -> bool:
    return one.stream is not None and one.stream == other.stream


async def result_of(waiting: Awaitable[T]) -> T | Exception:
    """The exception as a value: in a TaskGroup a raised one would cancel the other tasks."""
    try:
        return await waiting
    except RequestShedError:
        raise  # and the other tasks need not go on
    except Exception as error:  # it becomes an AnalysisError of this utterance, with its cause
        return error
