"""Latency and segmentation figures of measured streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from ..pipeline.conversions import ms
from .load_generator import Arrival, StreamRun
from .workload import Workload

PROMPT_S: Final = 0.025


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Percentiles | None:
        if not seconds:
            return None
        p50, p95, p99 = (1_000 * np.percentile(seconds, [50, 95, 99])).round(1).tolist()
        return cls(p50, p95, p99)


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Figures of the finals with one `reason`, or several.

    after_end: from the decision that the utterance has ended to the event. after_speech: from the last speech
    sample. prompt: share of finals sent within 25 ms of that decision. medians: milliseconds per stage.
    """

    reason: str
    finals: int
    after_end: Percentiles | None
    after_speech: Percentiles | None
    prompt: float | None
    medians: dict[str, float]

    @classmethod
    def of(cls, reason: str, arrivals: Sequence[Arrival]) -> LatencyRow:
        timings = [arrival.event.timing for arrival in arrivals]
        stages = ("lead", "queue", "asr", "align", "emotion")
        after_end = [arrival.after_end_s for arrival in arrivals]
        return cls(
            reason,
            len(arrivals),
            Percentiles.of(after_end),
            Percentiles.of([arrival.after_speech_s for arrival in arrivals]),
            float(np.mean(np.array(after_end) <= PROMPT_S)) if arrivals else None,
            {
                stage: round(float(np.median([getattr(timing, f"{stage}_ms") for timing in timings])), 1)
                for stage in stages
                if timings
            },
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The clips of a workload compared with the finals. split: several finals for a clip; missed: none."""

    clips: int
    split: int
    missed: int


def rows(runs: Sequence[StreamRun]) -> list[LatencyRow]:
    """Finals that ended by silence, and all others together if there are any."""
    arrivals = [arrival for run in runs for arrival in run.finals]
    silence = [arrival for arrival in arrivals if arrival.event.reason == "silence"]
    others = [arrival for arrival in arrivals if arrival.event.reason != "silence"]
    return [LatencyRow.of("silence", silence)] + ([LatencyRow.of("other", others)] if others else [])


def segmentation(loads: Sequence[Workload], runs: Sequence[StreamRun]) -> Segmentation:
    """A final belongs to the clips that it overlaps."""
    clips = split = missed = 0
    for load, run in zip(loads, runs, strict=True):
        spans = [(arrival.event.start_ms, arrival.event.end_ms) for arrival in run.finals]
        for start, end in load.spans:
            overlapping = [1 for a, b in spans if min(b, ms(end)) > max(a, ms(start))]
            clips += 1
            split += len(overlapping) > 1
            missed += not overlapping
    return Segmentation(clips, split, missed)
