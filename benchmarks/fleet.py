"""Many streams served by one or more replicas of the models, in simulated time: `SimulationPlan` in,
`SimulationResult` out.

A stream alternates pauses and utterances as `streamer.bench.workload` makes them. Its requests are those of a
session: a candidate after the tail of a pause, a final if that was shed, interim results during speech. Not
simulated: the event loop, admission, backpressure on a stream's own source, errors, and that no candidate is
started while a cancelled one is being computed.
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
"""RAVDESS's 1,440 spoken clips, trimmed by `workload.read_clips`: 5 % quantiles of seconds; mean 1.95."""
GAP_S: Final = (0.8, 2.0)
"""As in `workload.make_workload`."""
CLIP_LONGER_S: Final = 0.24
"""How much longer an analysed clip is than the trimmed one: pre-roll and tail, less the quiet ends that the
VAD leaves out. With WebRTC's VAD and the segmenter 722 utterances of RAVDESS workloads averaged 2.19 s."""
LOST_SHARE: Final = 0.058
"""Wasted share of compute with 32 streams in results.md; those 722 utterances lost 0.054 candidates each."""
LOST_AFTER_S: Final = 0.23
"""How long after a candidate's request speech resumed, on average over the same utterances."""

_TAIL_S: Final = SegmenterSettings().tail_ms / 1_000
_SILENCE_S: Final = SegmenterSettings().min_silence_ms / 1_000
_PRE_ROLL_S: Final = SegmenterSettings().pre_roll_ms / 1_000
_INTERIM_S: Final = LiveSettings().interim_interval_ms / 1_000
_AHEAD_STEP_S: Final = 0.1


def simulate(plan: SimulationPlan) -> SimulationResult:
    """Deterministic: the same plan has the same result."""
    return _Fleet(plan).run()


def streams_carried(plan: SimulationPlan, bound_s: float = 0.3) -> int:
    """The most streams with p95 under the bound, by bisection, to 5 % or one stream; 0 if one is too many.

    The search starts at the plan's number.
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
        self._all_replicas = list(self._replicas)
        self._restarted = self._env.event()
        self._begun = 0
        self._finals: list[FinalTiming] = []

    def run(self) -> SimulationResult:
        for stream in range(self._plan.streams):
            self._env.process(self._stream(stream))
        if self._plan.loss is not None:
            self._env.process(self._lose(self._plan.loss))
        self._env.run()
        return SimulationResult(
            utterances=self._begun,
            finals=tuple(self._finals),
            busiest=max(map(sum, self._busy())) / self._plan.replicas / self._plan.seconds,
            compute_s=sum(map(sum, self._busy())),
            shed=sum(replica.shed for replica in self._all_replicas),
        )

    def _busy(self) -> Sequence[Sequence[float]]:
        """Busy seconds of each model's workers."""
        by_replica = [[worker.busy_s for worker in replica.workers] for replica in self._all_replicas]
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
            interim_results = self._env.process(self._interim_requests(stream, speech_s))
            if self._plan.models.ahead is not None:
                self._env.process(self._transcribe_ahead(stream, speech_s))
            yield self._env.timeout(speech_s)
            self._env.process(self._end(stream, utterance, speech_s, interim_results))
            utterance += 1

    def _end(self, stream: int, utterance: int, speech_s: float, interim_results: Process) -> Steps:
        """The end of speech: the candidate, the decision, the final."""
        yield self._env.timeout(_TAIL_S)
        requested_s = self._env.now
        request = SimulatedRequest(self._env, stream, Priority.CANDIDATE, speech_s + CLIP_LONGER_S)
        analysis = self._env.process(self._analyse(request))
        yield self._env.timeout(_SILENCE_S - _TAIL_S)
        decided_s = self._env.now
        request.priority = Priority.FINAL
        for one in (yield interim_results):
            one.cancel()
        if not (yield analysis):
            request = SimulatedRequest(self._env, stream, Priority.FINAL, request.seconds)
            yield self._env.process(self._analyse(request))
        self._finals.append(
            FinalTiming(stream, utterance, requested_s, request.answered_s, decided_s, self._env.now)
        )

    def _lost_candidate(self, stream: int, after_s: float) -> Steps:
        """A candidate in a pause after which the utterance goes on."""
        yield self._env.timeout(after_s)
        request = SimulatedRequest(self._env, stream, Priority.CANDIDATE, after_s + _PRE_ROLL_S + _TAIL_S)
        self._env.process(self._analyse(request))
        yield self._env.timeout(LOST_AFTER_S)
        request.cancel()

    def _interim_requests(self, stream: int, speech_s: float) -> Steps:
        """Interim results in sequence; returns their requests, of which the last may be unanswered."""
        requests: list[SimulatedRequest] = []
        analysis: Process | None = None
        for turn in range(1, int(speech_s / _INTERIM_S) + 1):
            yield self._env.timeout(_INTERIM_S)
            if analysis is None or analysis.triggered:
                partial_s = turn * _INTERIM_S + _PRE_ROLL_S
                requests.append(SimulatedRequest(self._env, stream, Priority.INTERIM, partial_s, words=False))
                analysis = self._env.process(self._analyse(requests[-1]))
        return requests

    def _transcribe_ahead(self, stream: int, speech_s: float) -> Steps:
        """Requests that have not started when the pause begins are cancelled."""
        requests: list[SimulatedRequest] = []
        for _ in range(int(speech_s / _AHEAD_STEP_S)):
            yield self._env.timeout(_AHEAD_STEP_S)
            requests.append(SimulatedRequest(self._env, stream, Priority.INTERIM, _AHEAD_STEP_S))
            for replica in self._replicas[:1]:
                replica.transcribe_ahead(requests[-1])
        for request in requests:
            request.cancel()

    def _analyse(self, request: SimulatedRequest) -> Steps:
        """Whether there is a result. A request to a replica that died is sent again to another."""
        while not request.cancelled.triggered:
            replica = self._pick()
            if replica is None:
                yield self._restarted | request.cancelled
                continue
            replica.ongoing += 1
            answer = self._env.process(replica.answer(request))
            yield answer | replica.found_lost | request.cancelled
            replica.ongoing -= 1
            if answer.triggered and answer.value:
                request.answered_s = self._env.now
                return True
            if answer.triggered:
                return False
        return False

    def _pick(self) -> Replica | None:
        """Of two random replicas the one with fewer ongoing requests; None if there is no replica."""
        if len(self._replicas) < 2:
            return next(iter(self._replicas), None)
        first = int(self._rng.integers(len(self._replicas)))
        step = int(self._rng.integers(1, len(self._replicas)))
        second = (first + step) % len(self._replicas)
        return min(self._replicas[first], self._replicas[second], key=lambda replica: replica.ongoing)

    def _lose(self, loss: ReplicaFailure) -> Steps:
        yield self._env.timeout(loss.at_s)
        lost = self._replicas[0]
        lost.kill()
        yield self._env.timeout(loss.detect_s)
        self._replicas.remove(lost)
        lost.found_lost.succeed()
        yield self._env.timeout(loss.restart_s)
        self._replicas.append(self._replica())
        self._all_replicas.append(self._replicas[-1])
        self._restarted.succeed()
