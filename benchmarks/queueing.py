"""One model's thread in simulated time: calls wait as in `streamer.batcher`, work takes what a cost says."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from simpy import Environment, Event

from emostream.streamer.inference.request import Priority

SHEDDABLE: Final = 32
"""As `streamer.batcher` has it: so many candidates and provisionals may wait in a line."""

Steps = Generator[Event, Any, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one batch: fixed_s seconds, and per_s for every second of padded sound (clips times the longest).

    spread: sigma of a lognormal factor of median 1 on all of it; 0 is none.
    """

    fixed_s: float
    per_s: float
    spread: float = 0.0

    def of(self, clips: int, longest_s: float, rng: np.random.Generator) -> float:
        """Seconds."""
        factor = float(rng.lognormal(0.0, self.spread)) if self.spread else 1.0
        return factor * (self.fixed_s + self.per_s * clips * longest_s)


class SimulatedRequest:
    """As `streamer.asking.SimulatedRequest`: one analysis of a clip of so many seconds, with or without its
    words.

    priority: may rise. gone: nobody waits any more. answered_s: the moment, once there is a judgement.
    """

    def __init__(
        self, env: Environment, stream: int, priority: Priority, seconds: float, *, words: bool = True
    ) -> None:
        self.stream = stream
        self.priority = priority
        self.seconds = seconds
        self.words = words
        self.answered_s = 0.0
        self.gone = env.event()

    def cancel(self) -> None:
        if not self.gone.triggered:
            self.gone.succeed()


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """answered: whether the model answered, once that is known; False where the call was shed."""

    ask: SimulatedRequest
    answered: Event

    @property
    def wanted(self) -> bool:
        return not self.answered.triggered and not self.ask.gone.triggered


class Line:
    """What waits for one kind of call. budget_s: of padded sound in a batch; 0 takes one clip at a time."""

    def __init__(self, cost: Cost, budget_s: float) -> None:
        self.cost = cost
        self.shed: dict[Priority, int] = dict.fromkeys(Priority, 0)
        self._budget_s = budget_s
        self._waiting: list[Call] = []

    @property
    def urgency(self) -> Priority | None:
        return min((one.ask.priority for one in self._waiting if one.wanted), default=None)

    def join(self, call: Call) -> None:
        if call.ask.priority is Priority.FINAL or self._has_room(call.ask.priority):
            self._waiting.append(call)
        else:
            self._shed(call)

    def _has_room(self, priority: Priority) -> bool:
        lesser = [one for one in self._waiting if one.wanted and one.ask.priority is not Priority.FINAL]
        if len(lesser) < SHEDDABLE:
            return True
        last = max(reversed(lesser), key=lambda one: one.ask.priority)
        if last.ask.priority <= priority:
            return False
        self._shed(last)
        return True

    def _shed(self, call: Call) -> None:
        self.shed[call.ask.priority] += 1
        call.answered.succeed(False)

    def take(self) -> list[Call]:
        """The first of the most wanted, and those of its kind that came next and fit; one a stream."""
        self._waiting = [one for one in self._waiting if one.wanted]
        first = self.urgency
        batch: list[Call] = []
        streams: set[int] = set()
        longest_s = 0.0
        for one in self._waiting:
            if one.ask.priority is not first or one.ask.stream in streams:
                continue
            longest_s = max(longest_s, one.ask.seconds)
            if batch and longest_s * (len(batch) + 1) > self._budget_s:
                break
            batch.append(one)
            streams.add(one.ask.stream)
        taken = set(batch)
        self._waiting = [one for one in self._waiting if one not in taken]
        return batch


class Worker:
    """One batch after the other, of whatever is wanted most when it is free; the first line goes first."""

    def __init__(self, env: Environment, lines: Sequence[Line], rng: np.random.Generator) -> None:
        self.busy_s = 0.0
        self.batches: list[list[Call]] = []
        self._env = env
        self._lines = lines
        self._rng = rng
        self._alive = True
        self._arrived = env.event()
        env.process(self._serve())

    def submit(self, line: Line, ask: SimulatedRequest) -> Event:
        """Its value will be whether the model answered. Of a dead worker nothing comes."""
        call = Call(ask, self._env.event())
        line.join(call)
        if not self._arrived.triggered:
            self._arrived.succeed()
        return call.answered

    def die(self) -> None:
        """What it works on and what waits is never answered."""
        self._alive = False

    def _serve(self) -> Steps:
        while self._alive:
            waiting = [line for line in self._lines if line.urgency is not None]
            if not waiting:
                self._arrived = self._env.event()
                yield self._arrived
                continue
            line = min(waiting, key=lambda one: one.urgency or Priority.FINAL)
            batch = line.take()
            self.batches.append(batch)
            took_s = line.cost.of(len(batch), max(one.ask.seconds for one in batch), self._rng)
            yield self._env.timeout(took_s)
            if self._alive:
                self.busy_s += took_s
                for one in batch:
                    one.answered.succeed(True)
