"""What a simulation is asked, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from benchmarks.replica import Models
from emostream.streamer.bench.latency import PROMPT_S


@dataclass(frozen=True, slots=True)
class ReplicaFailure:
    """A replica dies at_s after the start; detect_s later what it owed is asked again; restart_s after that
    an empty one takes its place.
    """

    at_s: float
    detect_s: float
    restart_s: float


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """seconds: of sound in each stream. hop_s: a call's way to a replica and back, together."""

    streams: int
    models: Models
    replicas: int = 1
    seconds: float = 60.0
    seed: int = 0
    hop_s: float = 0.0
    loss: ReplicaFailure | None = None


@dataclass(frozen=True, slots=True)
class FinalTiming:
    """A final, in seconds: when the candidate was asked, when there was a judgement (of it, or of the final
    that was asked instead), when the end was decided, and when the event was there.
    """

    stream: int
    utterance: int
    asked_s: float
    judged_s: float
    decided_s: float
    told_s: float


@dataclass(frozen=True)
class SimulationResult:
    """begun: utterances. busiest: the share of time of the model that works most, over all replicas.
    models_s: seconds of all models' work. shed: candidates.
    """

    begun: int
    told: tuple[FinalTiming, ...]
    busiest: float
    models_s: float
    shed: int

    @cached_property
    def after_end_s(self) -> npt.NDArray[np.float64]:
        """(finals,) from the decision to the event. A stream's events come in the order of its speech."""
        found: list[float] = []
        last: dict[int, float] = {}
        for one in sorted(self.told, key=lambda one: (one.stream, one.utterance)):
            last[one.stream] = max(one.told_s, last.get(one.stream, 0.0))
            found.append(last[one.stream] - one.decided_s)
        return np.array(found)

    def percentile_ms(self, percent: float) -> float:
        """From the decision to the event."""
        return 1_000 * float(np.percentile(self.after_end_s, percent)) if len(self.told) else 0.0

    def answer_ms(self, percent: float) -> float:
        """From the asking of the candidate to the judgement: what of it is past 300 ms is waited for."""
        spans = [one.judged_s - one.asked_s for one in self.told]
        return 1_000 * float(np.percentile(spans, percent)) if spans else 0.0

    @property
    def prompt(self) -> float:
        """Share of finals within 25 ms."""
        return float(np.mean(self.after_end_s <= PROMPT_S)) if len(self.told) else 0.0
