"""`emostream bench`: latency and throughput of this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ..audio.frontend import Samples
from ..bench.latency import LatencyRow, rows
from ..bench.measurement import measure
from ..bench.throughput import ReplayBenchmark
from ..bench.workload import make_workload, read_clips
from ..clock import WallClock
from ..errors import ConfigError
from ..plurals import counted
from .console import load_engine
from .option_groups import with_option_groups
from .options import ModelOptions

app = typer.Typer(
    name="bench",
    help="Measure a server under a load of real speech.",
    no_args_is_help=True,
    add_completion=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """The speech that is streamed, and where the figures go."""

    speech: Annotated[
        list[Path] | None,
        typer.Option(
            "--speech",
            help="Recordings of one utterance each, or folders of them; repeatable. Default: the demo's "
            "recording.",
            show_default=False,
        ),
    ] = None
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed of the clips' order and the gaps between them.")
    ] = 0
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the figures to this file, as JSON.", show_default=False),
    ] = None

    def clips(self) -> list[Samples]:
        return read_clips(self.speech or [Path(str(files("emostream.demo") / "recording.ogg"))])

    def write(self, figures: object) -> None:
        if self.json_file is not None:
            self.json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


SecondsOption = Annotated[float, typer.Option("--seconds", min=5.0, help="Seconds of audio per stream.")]

_HEAD: Final = (
    "| streams | reason | finals | sent within 25 ms of the end | end to event p50 / p95 / p99 "
    "| last speech to event p50 / p95 / p99 | lead | queue | words | emotion |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@app.command()
@with_option_groups
def latency(workload: WorkloadOptions, models: ModelOptions, seconds: SecondsOption = 120.0) -> None:
    """One stream in real time: the time from the end of speech to the event."""
    _measure([1], workload, seconds, models)


@app.command()
@with_option_groups
def streams(
    workload: WorkloadOptions,
    models: ModelOptions,
    counts: Annotated[
        str, typer.Option("--counts", help="Numbers of concurrent streams, one run for each.")
    ] = "1,4,8,16",
    seconds: SecondsOption = 60.0,
) -> None:
    """Many streams at once in real time, a new server for each count."""
    try:
        numbers = [int(part) for part in counts.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"expected --counts such as 1,4,16, got {counts!r}; correct it")
    _measure(numbers, workload, seconds, models)


@app.command()
@with_option_groups
def replay(
    workload: WorkloadOptions,
    models: ModelOptions,
    seconds: SecondsOption = 120.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Runs, of which the median counts.")] = 5,
) -> None:
    """Replay at full speed, compared with the same model calls in a bare loop."""
    settings = models.settings()
    load = make_workload(workload.clips(), seconds, seed=workload.seed)
    engine = load_engine(settings, Console(stderr=True), WallClock())
    benchmark = ReplayBenchmark(engine.transcriber, engine.recognizer, settings, WallClock(), repeats)
    speed = asyncio.run(benchmark.run(load.samples))
    print(
        f"- replay {speed.replay:.1f} x, the bare models {speed.bare:.1f} x real time: "
        f"{100 * speed.share:.0f} % of their speed; {counted(speed.utterances, 'utterance')} "
        f"in {speed.batches} calls, median of {repeats} runs"
    )
    workload.write(asdict(speed))


def _measure(counts: Sequence[int], workload: WorkloadOptions, seconds: float, models: ModelOptions) -> None:
    clips = workload.clips()
    all_figures: list[dict[str, Any]] = []
    print(_HEAD)
    for count in counts:
        loads = [make_workload(clips, seconds, seed=workload.seed, stream=stream) for stream in range(count)]
        measurement = measure(models.arguments(), loads)
        for row in rows(measurement.runs):
            print(_line(count, row))
        all_figures.append(measurement.figures())
    print()
    for figures in all_figures:
        print(_summary(figures))
    workload.write(all_figures)


def _line(number: int, row: LatencyRow) -> str:
    prompt = "" if row.prompt is None else f"{100 * row.prompt:.1f} %"
    spans = [
        "" if delay is None else f"{delay.p50:.1f} / {delay.p95:.1f} / {delay.p99:.1f}"
        for delay in (row.after_end, row.after_speech)
    ]
    medians = [f"{row.medians.get(stage, 0.0):.1f}" for stage in ("lead", "queue", "asr", "emotion")]
    return "| " + " | ".join([str(number), row.reason, str(row.finals), prompt, *spans, *medians]) + " |"


def _summary(figures: dict[str, Any]) -> str:
    clips = figures["segmentation"]
    words = figures["interim_words"]
    parts = [] if words is None else [_words_summary(words, figures["interim_words_cores"])]
    parts += [
        f"{clips['split']} of {clips['clips']} clips split, {clips['missed']} missed",
        f"{figures['interim_results']} interim results",
        f"{100 * figures['wasted_share']:.1f} % of {figures['model_s']:.1f} s of model time wasted",
        f"{figures['dropped_ms']} ms dropped, {counted(len(figures['errors']), 'error')}",
        f"{len(figures['refused'])} refused",
        f"slowest ping {figures['slowest_ping_ms']:.0f} ms",
        f"{figures['cores_busy']:.2f} of {figures['cores']} cores busy, {figures['memory_mib']:.0f} MiB",
        f"ready after {figures['ready_s']:.1f} s",
    ]
    return f"- {counted(figures['streams'], 'stream')}: " + "; ".join(parts)


def _words_summary(words: dict[str, Any], cores: float) -> str:
    delay = words["last_word_ms"]
    return (
        f"last word on the screen {delay['p50']:.0f} / {delay['p90']:.0f} ms (p50 / p90) after its end, "
        f"before the final in {100 * words['early']:.0f} % of {words['finals']}; "
        f"{cores:.2f} cores for interim words; "
        f"{words['contradicted']} of {words['stable']} stable texts contradicted by the final"
    )
