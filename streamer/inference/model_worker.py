"""The thread of a model, the only one that touches it, or several where it takes several calls at once."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar
from weakref import WeakSet

from ..concurrency import task_group
from .request import Priority

Out = TypeVar("Out")
_Call = tuple[Callable[[], Any], asyncio.Future[Any]]


class CallQueue(Protocol):
    """Calls of one kind that wait for the worker; see `batcher.Batcher`."""

    @property
    def highest_priority(self) -> Priority | None: ...

    async def run_next_batch(self) -> None: ...

    def expire_waiting(self) -> None: ...


class _WorkerThread:
    """One thread of a worker. calls: of the worker; None ends one thread. done: called after each call with
    its failure, or None.
    """

    def __init__(
        self, name: str, calls: queue.SimpleQueue[_Call | None], done: Callable[[str | None], None]
    ) -> None:
        self._calls = calls
        self._done = done
        # Written by this thread alone.
        self.completed = 0
        self._busy_s = 0.0
        self._call_started_at: float | None = None
        threading.Thread(target=self._run_calls, name=name, daemon=True).start()

    @property
    def call_age_s(self) -> float | None:
        """Of the running call; None where none runs."""
        started_at = self._call_started_at
        return None if started_at is None else time.monotonic() - started_at

    @property
    def busy_s(self) -> float:
        """Seconds of work so far, those of the running call included."""
        age_s = self.call_age_s  # read first: the thread adds it to `_busy_s` when the call ends
        return self._busy_s + (0.0 if age_s is None else age_s)

    def _run_calls(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            loop = future.get_loop()
            started_at = self._call_started_at = time.monotonic()
            try:
                result, error = call(), None
            except BaseException as caught:  # it goes to the caller
                result, error = None, _as_exception(caught)
            finally:
                self._call_started_at, self._busy_s = None, self._busy_s + time.monotonic() - started_at
                self.completed += 1
            self._done(None if error is None else f"the last call failed: {error}")
            if loop.is_closed():
                return  # there is no caller any more: the program is ending
            loop.call_soon_threadsafe(settle, future, result, error)


class ModelWorker:
    """The threads that touch a model, one where it takes one call at a time, and the queues of its calls.

    call_timeout_s: how long a call may take. The callers of a longer one get a TimeoutError, while the
    thread keeps waiting for it; None is without limit. threads: more than one for a model that takes as many
    calls at once.

    Daemon threads: a model that does not return must not keep the process from ending. But the interpreter
    kills such threads inside the model's C++ code at exit, which aborts: check `any_busy` before exiting.
    """

    _all: ClassVar[WeakSet[ModelWorker]] = WeakSet()

    @classmethod
    def any_busy(cls) -> bool:
        """Whether any worker has a call that runs or waits."""
        return any(
            worker._submitted != sum(thread.completed for thread in worker._threads) for worker in cls._all
        )

    def __init__(self, name: str, call_timeout_s: float | None = None, threads: int = 1) -> None:
        self.name = name
        self.call_timeout_s = call_timeout_s
        self._failure: str | None = None

        self._queues: list[CallQueue] = []
        self._work_available = asyncio.Event()
        self._running_batches = 0

        self._submitted = 0  # written by the event loop's thread alone
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = [_WorkerThread(name, self._calls, self._record_outcome) for _ in range(threads)]
        self._all.add(self)

    @property
    def threads(self) -> int:
        return len(self._threads)

    @property
    def busy_s(self) -> float:
        """Seconds of work of all threads so far, those of the running calls included."""
        return sum(thread.busy_s for thread in self._threads)

    @property
    def unresponsive(self) -> bool:
        """Whether the running call takes longer than it may."""
        age_s = self._call_age_s
        return age_s is not None and self.call_timeout_s is not None and age_s > self.call_timeout_s

    @property
    def health_problem(self) -> str | None:
        """A call that takes too long, or the failure of the last one; None where all is well."""
        age_s = self._call_age_s
        if self.unresponsive and age_s is not None:
            return f"{self.name}: a call has taken {age_s:.0f} s"
        return self._failure

    @property
    def _call_age_s(self) -> float | None:
        """Of the oldest call that runs."""
        ages_s = (thread.call_age_s for thread in self._threads)
        return max((age_s for age_s in ages_s if age_s is not None), default=None)

    def _record_outcome(self, failure: str | None) -> None:
        self._failure = None if failure is None else f"{self.name}: {failure}"

    def record_failure(self, description: str) -> None:
        """For a call that returned a result that its caller found to be invalid."""
        self._failure = f"{self.name}: {description}"

    def expire_waiting_calls(self) -> None:
        """Fail the calls that have waited longer than a call may take, behind one that does not return."""
        for waiting in self._queues:
            waiting.expire_waiting()

    def register(self, calls: CallQueue) -> None:
        """Of calls of equal priority, those of the queue that was registered first go first."""
        self._queues.append(calls)

    def wake(self) -> None:
        """To be called when a queue has got an item."""
        self._work_available.set()

    async def serve(self) -> None:
        """Run one batch after the other on each thread, each time the one of the highest priority; until
        cancelled. Of several threads, the last free one is kept for what is not deferrable.
        """
        async with task_group() as group:
            for _ in self._threads:
                group.create_task(self._serve_thread(), name=f"serve {self.name}")

    async def _serve_thread(self) -> None:
        while True:
            await self._work_available.wait()
            first = self._next()
            if first is None:
                self._work_available.clear()
                continue
            self._running_batches += 1
            try:
                await first.run_next_batch()
            finally:
                self._running_batches -= 1
                self._work_available.set()  # what was deferrable may run now

    def _next(self) -> CallQueue | None:
        """The queue whose call is due on a thread that is free; None where there is none."""
        last_free = self.threads > 1 and self._running_batches == self.threads - 1
        waiting = [
            (priority, calls)
            for calls in self._queues
            if (priority := calls.highest_priority) is not None and not (last_free and priority.deferrable)
        ]
        return min(waiting, key=lambda item: item[0])[1] if waiting else None

    async def run(self, call: Callable[[], Out]) -> Out:
        """Run `call` in a thread and return its result, or raise its exception."""
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._submitted += 1
        self._calls.put((call, future))
        return await future

    def close(self) -> None:
        """End the threads after the calls that were submitted. Does not wait."""
        for _ in self._threads:
            self._calls.put(None)


def settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """Set the result or the error, unless the future is done: its caller may have cancelled it."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _as_exception(caught: BaseException) -> Exception:
    """A future takes no StopIteration, and a model that calls exit() must not end the thread."""
    if isinstance(caught, Exception) and not isinstance(caught, StopIteration):
        return caught
    return RuntimeError(f"{type(caught).__name__}: {caught}")
