"""The parameters and the results of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from benchmarks.replica import Models
from emostream.streamer.bench.latency import PROMPT_S


@dataclass(frozen=True, slots=True)
class ReplicaFailure:
    """A replica dies at_s after the start; detect_s later its requests are sent again; restart_s after that
    an idle one replaces it.
    """

    at_s: float
    detect_s: float
    restart_s: float


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """seconds: of audio in each stream. hop_s: round-trip time of a call to a replica."""

    streams: int
    models: Models
    replicas: int = 1
    seconds: float = 60.0
    seed: int = 0
    hop_s: float = 0.0
    loss: ReplicaFailure | None = None


@dataclass(frozen=True, slots=True)
class FinalTiming:
    """Times of a final, in seconds: of the candidate's request, of its result (or that of the final that
    replaced it), of the decision that the utterance has ended, and of the event.
    """

    stream: int
    utterance: int
    requested_s: float
    answered_s: float
    decided_s: float
    sent_s: float


@dataclass(frozen=True)
class SimulationResult:
    """busiest: utilization of the busiest model, over all replicas. compute_s: of all models, seconds.
    shed: candidates.
    """

    utterances: int
    finals: tuple[FinalTiming, ...]
    busiest: float
    compute_s: float
    shed: int

    @cached_property
    def after_end_s(self) -> npt.NDArray[np.float64]:
        """(finals,) from the decision to the event. A stream's events are sent in the order of its speech."""
        delays: list[float] = []
        last: dict[int, float] = {}
        for final in sorted(self.finals, key=lambda final: (final.stream, final.utterance)):
            last[final.stream] = max(final.sent_s, last.get(final.stream, 0.0))
            delays.append(last[final.stream] - final.decided_s)
        return np.array(delays)

    def percentile_ms(self, percent: float) -> float:
        """From the decision to the event."""
        return 1_000 * float(np.percentile(self.after_end_s, percent)) if len(self.finals) else 0.0

    def answer_ms(self, percent: float) -> float:
        """From the candidate's request to the result: what exceeds 300 ms delays the final."""
        spans = [final.answered_s - final.requested_s for final in self.finals]
        return 1_000 * float(np.percentile(spans, percent)) if spans else 0.0

    @property
    def prompt(self) -> float:
        """Share of finals within 25 ms."""
        return float(np.mean(self.after_end_s <= PROMPT_S)) if len(self.finals) else 0.0
