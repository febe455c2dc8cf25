"""Many streams before one or more replicas of the models, in simulated time: `SimulationPlan` in,
`SimulationResult` out.

A stream alternates pauses and utterances as `streamer.load` makes them. What is asked, and when, is what a
session asks of its engine: a candidate when the tail of a pause is heard, a final where that was shed,
provisionals while somebody speaks. Left out: the event loop, admission, how a stream that is late holds
back its own source, errors, and that candidates rest while a lost one is being worked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from simpy import Environment, Process

from benchmarks.fleet_plan import FinalTiming, ReplicaFailure, SimulationPlan, SimulationResult
from benchmarks.queueing import SimulatedRequest, Steps
from benchmarks.replica import Replica
from emostream.streamer.config import LiveSettings, SegmenterSettings
from emostream.streamer.inference.request import Priority

SPEECH_S: Final = (
    *(1.08, 1.30, 1.42, 1.48, 1.54, 1.60, 1.64, 1.68, 1.72, 1.78, 1.82),
    *(1.88, 1.94, 2.02, 2.10, 2.20, 2.32, 2.46, 2.68, 3.02, 4.30),
)
"""RAVDESS's 1,440 spoken clips, trimmed by `load.read_clips`: their lengths at every 20th part; mean 1.95."""
GAP_S: Final = (0.8, 2.0)
"""`load.make_workload`'s."""
CLIP_LONGER_S: Final = 0.24
"""An analysed clip against the trimmed one: pre-roll and tail, less the quiet ends that the detector leaves
out. By WebRTC's detector and the segmenter 722 utterances of loads of RAVDESS were 2.19 s long on average."""
LOST_SHARE: Final = 0.058
"""Of model time, wasted with 32 streams in results.md; those 722 utterances lost 0.054 candidates each."""
LOST_AFTER_S: Final = 0.23
"""So long after a candidate was asked did speech resume, on average over the same."""

_TAIL_S: Final = SegmenterSettings().tail_ms / 1_000
_SILENCE_S: Final = SegmenterSettings().min_silence_ms / 1_000
_PRE_ROLL_S: Final = SegmenterSettings().pre_roll_ms / 1_000
_PROVISIONAL_S: Final = LiveSettings().interim_interval_ms / 1_000
_AHEAD_EVERY_S: Final = 0.1


def simulate(plan: SimulationPlan) -> SimulationResult:
    """The same plan finds the same."""
    return _Fleet(plan).run()


def streams_carried(plan: SimulationPlan, bound_s: float = 0.3) -> int:
    """The most streams with p95 under the bound, by bisection, to 5 % or one stream; 0 where one is too
    many. The search begins at the plan's own.
    """

    def good(streams: int) -> bool:
        return simulate(replace(plan, streams=streams)).percentile_ms(95) < 1_000 * bound_s

    low, high = 0, max(plan.streams, 1)
    while good(high):
        low, high = high, 2 * high
    while high - low > max(1, 0.05 * low):
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


class _Fleet:
    def __init__(self, plan: SimulationPlan) -> None:
        self._plan = plan
        self._env = Environment()
        self._rng = np.random.default_rng([plan.seed, 0])
        self._replicas = [self._replica() for _ in range(plan.replicas)]
        self._ever = list(self._replicas)
        self._back = self._env.event()
        self._begun = 0
        self._told: list[FinalTiming] = []

    def run(self) -> SimulationResult:
        for stream in range(self._plan.streams):
            self._env.process(self._stream(stream))
        if self._plan.loss is not None:
            self._env.process(self._lose(self._plan.loss))
        self._env.run()
        return SimulationResult(
            begun=self._begun,
            told=tuple(self._told),
            busiest=max(map(sum, self._busy())) / self._plan.replicas / self._plan.seconds,
            models_s=sum(map(sum, self._busy())),
            shed=sum(one.shed for one in self._ever),
        )

    def _busy(self) -> Sequence[Sequence[float]]:
        """Seconds of each model's workers."""
        by_replica = [[worker.busy_s for worker in one.workers] for one in self._ever]
        return list(zip(*by_replica, strict=True))

    def _replica(self) -> Replica:
        return Replica(self._env, self._plan.models, self._plan.hop_s, self._rng)

    def _stream(self, stream: int) -> Steps:
        rng = np.random.default_rng([self._plan.seed, 1, stream])
        yield self._env.timeout(rng.uniform(0.0, np.mean(SPEECH_S) + np.mean(GAP_S)))
        until_s = self._env.now + self._plan.seconds
        utterance = 0
        while True:
            gap_s = rng.uniform(*GAP_S)
            speech_s = float(np.interp(rng.uniform(), np.linspace(0.0, 1.0, len(SPEECH_S)), SPEECH_S))
            if self._env.now + gap_s + speech_s > until_s:
                return
            yield self._env.timeout(gap_s)
            self._begun += 1
            if rng.uniform() < LOST_SHARE:
                self._env.process(self._lost_candidate(stream, rng.uniform(0.0, speech_s)))
            interim_results = self._env.process(self._provisionals(stream, speech_s))
            if self._plan.models.ahead is not None:
                self._env.process(self._hear_ahead(stream, speech_s))
            yield self._env.timeout(speech_s)
            self._env.process(self._end(stream, utterance, speech_s, interim_results))
            utterance += 1

    def _end(self, stream: int, utterance: int, speech_s: float, interim_results: Process) -> Steps:
        """Speech is over: the candidate, the decision, the final."""
        yield self._env.timeout(_TAIL_S)
        asked_s = self._env.now
        ask = SimulatedRequest(self._env, stream, Priority.CANDIDATE, speech_s + CLIP_LONGER_S)
        analysis = self._env.process(self._analyse(ask))
        yield self._env.timeout(_SILENCE_S - _TAIL_S)
        decided_s = self._env.now
        ask.priority = Priority.FINAL
        for one in (yield interim_results):
            one.cancel()
        if not (yield analysis):
            ask = SimulatedRequest(self._env, stream, Priority.FINAL, ask.seconds)
            yield self._env.process(self._analyse(ask))
        self._told.append(FinalTiming(stream, utterance, asked_s, ask.answered_s, decided_s, self._env.now))

    def _lost_candidate(self, stream: int, after_s: float) -> Steps:
        """A pause of an utterance that goes on."""
        yield self._env.timeout(after_s)
        ask = SimulatedRequest(self._env, stream, Priority.CANDIDATE, after_s + _PRE_ROLL_S + _TAIL_S)
        self._env.process(self._analyse(ask))
        yield self._env.timeout(LOST_AFTER_S)
        ask.cancel()

    def _provisionals(self, stream: int, speech_s: float) -> Steps:
        """One after the other; those that were asked, of which the last may still be under way."""
        asked: list[SimulatedRequest] = []
        analysis: Process | None = None
        for turn in range(1, int(speech_s / _PROVISIONAL_S) + 1):
            yield self._env.timeout(_PROVISIONAL_S)
            if analysis is None or analysis.triggered:
                so_far_s = turn * _PROVISIONAL_S + _PRE_ROLL_S
                asked.append(SimulatedRequest(self._env, stream, Priority.INTERIM, so_far_s, words=False))
                analysis = self._env.process(self._analyse(asked[-1]))
        return asked

    def _hear_ahead(self, stream: int, speech_s: float) -> Steps:
        """What has not begun when the pause begins is not wanted any more."""
        asked: list[SimulatedRequest] = []
        for _ in range(int(speech_s / _AHEAD_EVERY_S)):
            yield self._env.timeout(_AHEAD_EVERY_S)
            asked.append(SimulatedRequest(self._env, stream, Priority.INTERIM, _AHEAD_EVERY_S))
            for replica in self._replicas[:1]:
                replica.transcribe_ahead(asked[-1])
        for one in asked:
            one.cancel()

    def _analyse(self, ask: SimulatedRequest) -> Steps:
        """Whether there is a judgement. A replica that died owes one: it is asked again elsewhere."""
        while not ask.gone.triggered:
            replica = self._pick()
            if replica is None:
                yield self._back | ask.gone
                continue
            replica.ongoing += 1
            answer = self._env.process(replica.answer(ask))
            yield answer | replica.found_lost | ask.gone
            replica.ongoing -= 1
            if answer.triggered and answer.value:
                ask.answered_s = self._env.now
                return True
            if answer.triggered:
                return False
        return False

    def _pick(self) -> Replica | None:
        """Of two at random the one with fewer ongoing analyses; None where there is no replica."""
        if len(self._replicas) < 2:
            return next(iter(self._replicas), None)
        first = int(self._rng.integers(len(self._replicas)))
        step = int(self._rng.integers(1, len(self._replicas)))
        second = (first + step) % len(self._replicas)
        return min(self._replicas[first], self._replicas[second], key=lambda one: one.ongoing)

    def _lose(self, loss: ReplicaFailure) -> Steps:
        yield self._env.timeout(loss.at_s)
        lost = self._replicas[0]
        lost.die()
        yield self._env.timeout(loss.detect_s)
        self._replicas.remove(lost)
        lost.found_lost.succeed()
        yield self._env.timeout(loss.restart_s)
        self._replicas.append(self._replica())
        self._ever.append(self._replicas[-1])
        self._back.succeed()
