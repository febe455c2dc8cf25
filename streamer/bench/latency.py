"""From streams' runs to the figures of a latency table."""

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
    """What happened to finals of some reason. prompt: share sent within 25 ms of the end being decided. lead,
    queue, asr, align, emotion: medians, milliseconds.
    """

    reason: str
    finals: int
    after_end: Percentiles | None
    after_speech: Percentiles | None
    prompt: float | None
    medians: dict[str, float]

    @classmethod
    def of(cls, reason: str, arrivals: Sequence[Arrival]) -> LatencyRow:
        timings = [one.event.timing for one in arrivals]
        stages = ("lead", "queue", "asr", "align", "emotion")
        after_end = [one.after_end_s for one in arrivals]
        return cls(
            reason,
            len(arrivals),
            Percentiles.of(after_end),
            Percentiles.of([one.after_speech_s for one in arrivals]),
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
    """The clips of a load against the finals. split: heard as more than one; missed: as none."""

    clips: int
    split: int
    missed: int


def rows(runs: Sequence[StreamRun]) -> list[LatencyRow]:
    """Ends by silence, and all others together where there are any."""
    arrivals = [arrival for run in runs for arrival in run.finals]
    silence = [one for one in arrivals if one.event.reason == "silence"]
    others = [one for one in arrivals if one.event.reason != "silence"]
    return [LatencyRow.of("silence", silence)] + ([LatencyRow.of("other", others)] if others else [])


def segmentation(loads: Sequence[Workload], runs: Sequence[StreamRun]) -> Segmentation:
    """A final and a clip belong together where they overlap."""
    clips = split = missed = 0
    for load, run in zip(loads, runs, strict=True):
        spans = [(one.event.start_ms, one.event.end_ms) for one in run.finals]
        for start, end in load.spans:
            inside = [1 for a, b in spans if min(b, ms(end)) > max(a, ms(start))]
            clips += 1
            split += len(inside) > 1
            missed += not inside
    return Segmentation(clips, split, missed)
