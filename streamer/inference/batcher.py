"""Dynamic batching in front of a model's thread: greedy, no timer.

As soon as the thread is free, what waits goes in, up to a padded cost: finals before candidates before
provisionals, and never two of these in one batch, because whoever shares a batch waits for all of it. A
failing batch is tried again one by one, so that the poison item alone gets its exception.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar
from weakref import WeakSet

from ..clock import Clock
from .request import Priority, RequestContext, RequestShedError

_SHEDDABLE: Final = 32
"""So many candidates and provisionals may wait; what comes then is refused, a provisional first."""

In = TypeVar("In")
Out = TypeVar("Out")


class ModelWorker:
    """The one thread that touches a model, and the batchers of its calls.

    call_timeout_s: how long a call may take; whoever waits for a longer one is told so, while the thread
    waits on.

    A daemon: a model that hangs must not keep the process from ending. But Python's own ending kills
    such a thread inside the model's C++, which aborts: whoever ends the process asks `any_busy` first.
    """

    _all: ClassVar[WeakSet[ModelWorker]] = WeakSet()

    @classmethod
    def any_busy(cls) -> bool:
        """Whether a call is under way or waits for its turn."""
        return any(thread._asked != thread._answered for thread in cls._all)

    def __init__(self, name: str, call_timeout_s: float | None = None) -> None:
        self.name = name
        self.call_timeout_s = call_timeout_s
        self._failure: str | None = None
        self._busy_s = 0.0
        self._began: float | None = None
        self._batchers: list[Batcher[Any, Any]] = []
        self._arrived = asyncio.Event()
        # Each is written by one thread alone: the loop's, and this one.
        self._asked = self._answered = 0
        self._all.add(self)
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]
        self._calls = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """Seconds for which it has worked so far, those of the running call among them."""
        began = self._began
        return self._busy_s + (0.0 if began is None else time.monotonic() - began)

    @property
    def hangs(self) -> bool:
        """Whether the running call takes longer than it may."""
        began = self._began
        return (
            began is not None
            and self.call_timeout_s is not None
            and time.monotonic() - began > self.call_timeout_s
        )

    @property
    def trouble(self) -> str | None:
        """What is wrong at present: a call that takes too long, or the last one's failure."""
        if self.hangs and self._began is not None:
            return f"{self.name}: a call has taken {time.monotonic() - self._began:.0f} s"
        return self._failure

    def complain(self, what: str) -> None:
        """Of the last call's result, which only its owner can judge."""
        self._failure = f"{self.name}: {what}"

    def expire_waiting_calls(self) -> None:
        """Behind a call that hangs: who has waited longer than a call may take."""
        for batcher in self._batchers:
            batcher.expire_waiting()

    def register(self, batcher: Batcher[Any, Any]) -> None:
        """Of equally wanted items, those of the batcher that registered first go first."""
        self._batchers.append(batcher)

    def wake(self) -> None:
        """Something waits."""
        self._arrived.set()

    async def serve(self) -> None:
        """One batch after the other, of whatever is wanted most when the thread is free; until cancelled."""
        while True:
            await self._arrived.wait()
            waiting = [one for one in self._batchers if one.urgency is not None]
            if waiting:
                await min(waiting, key=lambda one: one.urgency or Priority.FINAL).step()
            else:
                self._arrived.clear()

    async def run(self, call: Callable[[], Out]) -> Out:
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._asked += 1
        self._calls.put((call, future))
        return await future

    def close(self) -> None:
        """No call comes after this one. Does not wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            loop = future.get_loop()
            began = self._began = time.monotonic()
            try:
                result, error = call(), None
            except BaseException as caught:  # it goes to whoever waits for the result
                result, error = None, _as_failure(caught)
            finally:
                self._began, self._busy_s = None, self._busy_s + time.monotonic() - began
                self._answered += 1
            self._failure = None if error is None else f"{self.name}: the last call failed: {error}"
            if loop.is_closed():
                return  # nobody waits any more: the program is ending
            loop.call_soon_threadsafe(_settle, future, result, error)


def _as_failure(caught: BaseException) -> Exception:
    """A future takes no StopIteration, and a model that calls exit() must not end the thread."""
    if isinstance(caught, Exception) and not isinstance(caught, StopIteration):
        return caught
    return RuntimeError(f"{type(caught).__name__}: {caught}")


@dataclass(frozen=True, slots=True)
class TimedResult(Generic[Out]):
    """A result, how long it waited for the model and how long the model took, in seconds."""

    value: Out
    waited_s: float
    took_s: float


@dataclass(slots=True, eq=False)
class _Waiting(Generic[In, Out]):
    item: In
    ask: RequestContext
    since: float
    future: asyncio.Future[TimedResult[Out]]

    @property
    def wanted(self) -> bool:
        """Whoever gave up has cancelled the future."""
        return not self.future.done()


class Batcher(Generic[In, Out]):
    """call: ordered, equal length, run on `thread`. cost: of one item; a batch closes before longest
    cost times count passes `budget` (a single item always goes).

    Finals are bounded by the sessions, which have a few under way and no more; the rest is shed.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In]], list[Out]],
        thread: ModelWorker,
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
        self._waiting: list[_Waiting[In, Out]] = []
        thread.register(self)

    @property
    def urgency(self) -> Priority | None:
        """Of the most wanted that waits; None where nobody does."""
        return min((one.ask.priority for one in self._waiting if one.wanted), default=None)

    async def submit(self, item: In, ask: RequestContext) -> TimedResult[Out]:
        """Wait for the result. Raises what the model raised for this item, and RequestShedError."""
        if ask.priority is not Priority.FINAL:
            self._make_room(ask.priority)
        future: asyncio.Future[TimedResult[Out]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, ask, self._clock.now(), future))
        self._thread.wake()
        return await future

    async def step(self) -> None:
        """One batch, chosen only now that the thread is free: whoever came meanwhile is in."""
        batch = self._take()
        if batch:
            await self._run(batch)

    def _make_room(self, priority: Priority) -> None:
        lesser = [one for one in self._waiting if one.wanted and one.ask.priority is not Priority.FINAL]
        if len(lesser) < _SHEDDABLE:
            return
        last = max(reversed(lesser), key=lambda one: one.ask.priority)
        if last.ask.priority <= priority:
            raise RequestShedError
        _settle(last.future, None, RequestShedError())

    def _take(self) -> list[_Waiting[In, Out]]:
        """The first of the most wanted, and those of its kind that came next and fit; one a stream.

        In company the last digits of a result depend on who the company is, and a stream alone in the house
        is to get the same results however its sound was cut into blocks.
        """
        waiting = [one for one in self._waiting if one.wanted]
        first = min((one.ask.priority for one in waiting), default=None)
        batch: list[_Waiting[In, Out]] = []
        longest = 0.0
        for one in waiting:
            if one.ask.priority is not first or any(_same_stream(one.ask, other.ask) for other in batch):
                continue
            longest = max(longest, self._cost(one.item))
            if batch and longest * (len(batch) + 1) > self._budget:
                break
            batch.append(one)
        self._waiting = [one for one in waiting if one not in batch]
        return batch

    async def _run(self, batch: list[_Waiting[In, Out]]) -> None:
        began = self._clock.now()
        for one in batch:
            one.ask.running += 1
        results: list[Out] = []
        failure: Exception | None = None
        try:
            results = await self._patiently(
                self._thread.run(lambda: self._checked([one.item for one in batch])), batch
            )
        except Exception as error:
            failure = error
        took = self._clock.now() - began
        for one in batch:
            one.ask.running -= 1
            one.ask.spend(took / len(batch), self._thread.name)
        if failure is None:
            for one, value in zip(batch, results, strict=True):
                _settle(one.future, TimedResult(value, began - one.since, took), None)
        elif len(batch) == 1:
            _settle(batch[0].future, None, failure)
        else:
            for one in batch:
                if one.wanted:  # those that were given up meanwhile are not tried again
                    await self._run([one])

    async def _patiently(
        self, call: Coroutine[Any, Any, list[Out]], batch: Sequence[_Waiting[In, Out]]
    ) -> list[Out]:
        """The call's results. Whoever waits for one that hangs is told so, and the thread waits for its
        end.
        """
        if self._thread.call_timeout_s is None:
            return await call
        calling = asyncio.create_task(call, name="call a model")
        try:
            while not (await asyncio.wait({calling}, timeout=self._thread.call_timeout_s))[0]:
                for one in batch:
                    _settle(one.future, None, self._no_answer())
                self._thread.expire_waiting_calls()
        finally:
            calling.cancel()
        return calling.result()

    def expire_waiting(self) -> None:
        """On all that have waited longer than a call may take."""
        call_timeout_s = self._thread.call_timeout_s
        assert call_timeout_s is not None
        for one in self._waiting:
            if self._clock.now() - one.since > call_timeout_s:
                _settle(one.future, None, self._no_answer())

    def _no_answer(self) -> Exception:
        return TimeoutError(f"expected an answer within {self._thread.call_timeout_s:g} s, got none")

    def _checked(self, items: list[In]) -> list[Out]:
        results = self._call(items)
        if len(results) != len(items):
            raise RuntimeError(f"expected {len(items)} results from the model, got {len(results)}")
        return results


def _same_stream(one: RequestContext, other: RequestContext) -> bool:
    return one.stream is not None and one.stream == other.stream


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
