"""One model's worker in simulated time: calls are queued and batched as in `streamer.inference.batcher`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from simpy import Environment, Event

from emostream.streamer.inference.request import Priority

SHEDDABLE: Final = 32
"""As in `streamer.inference.batcher`: how many candidates and interim results may wait in a queue."""

Steps = Generator[Event, Any, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one batch: fixed_s seconds, and per_s for each second of padded audio (clips times the longest).

    spread: sigma of a lognormal factor with median 1 on the sum; 0 is none.
    """

    fixed_s: float
    per_s: float
    spread: float = 0.0

    def of(self, clips: int, longest_s: float, rng: np.random.Generator) -> float:
        """Seconds."""
        factor = float(rng.lognormal(0.0, self.spread)) if self.spread else 1.0
        return factor * (self.fixed_s + self.per_s * clips * longest_s)


class SimulatedRequest:
    """One analysis of a clip of some seconds, with or without transcription, as
    `streamer.inference.request.RequestContext`.

    priority: may rise. cancelled: triggered when the result is not needed any more. answered_s: when the
    result was there.
    """

    def __init__(
        self, env: Environment, stream: int, priority: Priority, seconds: float, *, words: bool = True
    ) -> None:
        self.stream = stream
        self.priority = priority
        self.seconds = seconds
        self.words = words
        self.answered_s = 0.0
        self.cancelled = env.event()

    def cancel(self) -> None:
        if not self.cancelled.triggered:
            self.cancelled.succeed()


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of one model. answered: triggered with True by the result, with False if the call was shed."""

    request: SimulatedRequest
    answered: Event

    @property
    def wanted(self) -> bool:
        return not self.answered.triggered and not self.request.cancelled.triggered


class CallQueue:
    """Calls of one kind that wait. budget_s: of padded audio in a batch; 0 takes one clip at a time."""

    def __init__(self, cost: Cost, budget_s: float) -> None:
        self.cost = cost
        self.shed: dict[Priority, int] = dict.fromkeys(Priority, 0)
        self._budget_s = budget_s
        self._waiting: list[Call] = []

    @property
    def top_priority(self) -> Priority | None:
        return min((call.request.priority for call in self._waiting if call.wanted), default=None)

    def enqueue(self, call: Call) -> None:
        if call.request.priority is Priority.FINAL or self._has_room(call.request.priority):
            self._waiting.append(call)
        else:
            self._shed(call)

    def _has_room(self, priority: Priority) -> bool:
        sheddable = [
            call for call in self._waiting if call.wanted and call.request.priority is not Priority.FINAL
        ]
        if len(sheddable) < SHEDDABLE:
            return True
        last = max(reversed(sheddable), key=lambda call: call.request.priority)
        if last.request.priority <= priority:
            return False
        self._shed(last)
        return True

    def _shed(self, call: Call) -> None:
        self.shed[call.request.priority] += 1
        call.answered.succeed(False)

    def take(self) -> list[Call]:
        """The next batch: calls of the highest priority that fit, in order, at most one per stream."""
        self._waiting = [call for call in self._waiting if call.wanted]
        first = self.top_priority
        batch: list[Call] = []
        streams: set[int] = set()
        longest_s = 0.0
        for call in self._waiting:
            if call.request.priority is not first or call.request.stream in streams:
                continue
            longest_s = max(longest_s, call.request.seconds)
            if batch and longest_s * (len(batch) + 1) > self._budget_s:
                break
            batch.append(call)
            streams.add(call.request.stream)
        taken = set(batch)
        self._waiting = [call for call in self._waiting if call not in taken]
        return batch


class Worker:
    """Runs one batch after the other, each of the highest priority; of equal ones the first queue's."""

    def __init__(self, env: Environment, queues: Sequence[CallQueue], rng: np.random.Generator) -> None:
        self.busy_s = 0.0
        self.batches: list[list[Call]] = []
        self._env = env
        self._queues = queues
        self._rng = rng
        self._alive = True
        self._arrived = env.event()
        env.process(self._serve())

    def submit(self, queue: CallQueue, request: SimulatedRequest) -> Event:
        """An event whose value is whether the model answered. A dead worker never triggers it."""
        call = Call(request, self._env.event())
        queue.enqueue(call)
        if not self._arrived.triggered:
            self._arrived.succeed()
        return call.answered

    def kill(self) -> None:
        """The batch that it runs and the calls that wait are never answered."""
        self._alive = False

    def _serve(self) -> Steps:
        while self._alive:
            waiting = [queue for queue in self._queues if queue.top_priority is not None]
            if not waiting:
                self._arrived = self._env.event()
                yield self._arrived
                continue
            queue = min(waiting, key=lambda each: each.top_priority or Priority.FINAL)
            batch = queue.take()
            self.batches.append(batch)
            took_s = queue.cost.of(len(batch), max(call.request.seconds for call in batch), self._rng)
            yield self._env.timeout(took_s)
            if self._alive:
                self.busy_s += took_s
                for call in batch:
                    call.answered.succeed(True)
