"""`emostream bench`: latency and throughput of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console

from ..bench.latency import LatencyRow, rows
from ..bench.measurement import measure
from ..bench.throughput import BenchmarkedModels, ReplayBenchmark
from ..bench.workload import make_workload
from ..clock import WallClock
from ..config import SAMPLE_RATE_HZ
from ..errors import ConfigError
from ..inference.load_models import load_speech_check
from ..plurals import counted
from .bench_progress import benchmark_progress
from .console import load_engine
from .options import ModelOptions
from .workload_options import WorkloadOptions

_HEAD: Final = (
    "streams",
    "ended by",
    "finals",
    "in 25 ms",
    "end to event, p50 / p95 / p99",
    "speech to event, p50 / p95 / p99",
    "lead",
    "queue",
    "words",
    "emotion",
)
"""Milliseconds, medians from `lead` on."""
_WIDTHS: Final = tuple(max(7, len(name)) for name in _HEAD)


def latency(
    *,
    workload: WorkloadOptions,
    models: ModelOptions,
    seconds: float,
) -> None:
    """Run the command; `commands.bench` has its options."""
    _measure([1], workload, seconds, models)


def streams(
    *,
    workload: WorkloadOptions,
    models: ModelOptions,
    counts: str,
    seconds: float,
) -> None:
    """Run the command; `commands.bench` has its options."""
    try:
        numbers = [int(part) for part in counts.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"expected --counts such as 1,4,16, got {counts!r}; correct it")
    _measure(numbers, workload, seconds, models)


def replay(
    *,
    workload: WorkloadOptions,
    models: ModelOptions,
    seconds: float,
    recordings: int,
    repeats: int,
) -> None:
    """Run the command; `commands.bench` has its options."""
    settings = models.settings()
    workload.check()
    clips = workload.clips()
    loads = [
        make_workload(clips, seconds / recordings, seed=workload.seed, stream=number).samples
        for number in range(recordings)
    ]
    console = Console(stderr=True)
    engine = load_engine(settings, console, WallClock())
    models_alone = BenchmarkedModels(
        engine.transcriber, engine.recognizer, load_speech_check(settings.models)
    )
    benchmark = ReplayBenchmark(models_alone, settings, WallClock(), repeats)
    with benchmark_progress(console, WallClock(), "replay", repeats, "run") as advance:
        speed = asyncio.run(benchmark.run(loads, advance))
    print(
        f"- replay {speed.replay:.1f} x, the bare models {speed.bare:.1f} x real time: "
        f"{100 * speed.share:.0f} % of their speed; {counted(speed.utterances, 'utterance')} "
        f"in {counted(speed.batches, 'call')}, {counted(recordings, 'recording')}, {speed.at_a_time} at a "
        f"time, median of {counted(repeats, 'run')}"
    )
    workload.write(asdict(speed))


def _measure(counts: Sequence[int], workload: WorkloadOptions, seconds: float, models: ModelOptions) -> None:
    workload.check()
    clips = workload.clips()
    console, clock = Console(stderr=True), WallClock()
    all_figures: list[dict[str, Any]] = []
    print(aligned(_HEAD, _WIDTHS))
    print(aligned(tuple("-" * width for width in _WIDTHS), _WIDTHS), flush=True)
    for number, count in enumerate(counts, 1):
        loads = [make_workload(clips, seconds, seed=workload.seed, stream=stream) for stream in range(count)]
        name = f"{number}/{len(counts)} {counted(count, 'stream')}"
        total_s = sum(len(load.samples) for load in loads) / SAMPLE_RATE_HZ
        with benchmark_progress(console, clock, name, total_s, "s of audio") as advance:
            measurement = measure(models.arguments(), loads, advance)
        for row in rows(measurement.runs):
            print(_line(count, row), flush=True)
        all_figures.append(measurement.figures())
    print()
    for figures in all_figures:
        print(_summary(figures))
    workload.write(all_figures)


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A row of a Markdown table whose columns are below each other on a terminal too."""
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _line(number: int, row: LatencyRow) -> str:
    prompt = "" if row.prompt is None else f"{100 * row.prompt:.1f} %"
    spans = [
        "" if delay is None else f"{delay.p50:.1f} / {delay.p95:.1f} / {delay.p99:.1f}"
        for delay in (row.after_end, row.after_speech)
    ]
    medians = [f"{row.medians.get(stage, 0.0):.1f}" for stage in ("lead", "queue", "asr", "emotion")]
    return aligned([str(number), row.reason, str(row.finals), prompt, *spans, *medians], _WIDTHS)


def _summary(figures: dict[str, Any]) -> str:
    clips = figures["segmentation"]
    words = figures["interim_words"]
    parts = [] if words is None else [_words_summary(words, figures["interim_words_cores"])]
    parts += [
        f"{clips['split']} of {counted(clips['clips'], 'clip')} split, {clips['missed']} missed",
        counted(figures["interim_results"], "interim result"),
        f"{100 * figures['wasted_share']:.1f} % of {figures['model_s']:.1f} s of model time wasted",
        f"{figures['dropped_ms']} ms dropped, {counted(len(figures['errors']), 'error')}",
        f"{len(figures['refused'])} refused",
        f"slowest ping {figures['slowest_ping_ms']:.0f} ms",
        f"{figures['cores_busy']:.2f} of {counted(figures['cores'], 'core')} busy",
        f"{figures['memory_mib']:.0f} MiB",
        f"ready after {figures['ready_s']:.1f} s",
    ]
    return f"- {counted(figures['streams'], 'stream')}: " + "; ".join(parts)


def _words_summary(words: dict[str, Any], cores: float) -> str:
    delay = words["last_word_ms"]
    return (
        f"last word on the screen {delay['p50']:.0f} / {delay['p90']:.0f} ms (p50 / p90) after its end, "
        f"before the final in {100 * words['early']:.0f} % of {words['finals']}; "
        f"{cores:.2f} cores for interim words; "
        f"{words['contradicted']} of {counted(words['stable'], 'stable text')} contradicted by the final"
    )
