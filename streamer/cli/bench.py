"""`emostream bench`"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ..audio.frontend import Samples
from ..bench.latency import LatencyRow, rows, segmentation
from ..bench.load_generator import StreamRun, run_streams
from ..bench.server_process import Cost, ServerProcess
from ..bench.throughput import replay_speed
from ..bench.workload import Workload, make_workload, read_clips
from ..clock import WallClock
from ..errors import ConfigError
from . import options

app = typer.Typer(help="Measure a server under a load of real speech.", no_args_is_help=True)

SpeechOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--speech",
        help="Recordings, or folders of them, each one utterance; repeatable. Default: the demo's recording.",
        show_default=False,
    ),
]
SecondsOption = Annotated[float, typer.Option("--seconds", min=5.0, help="Of sound for each stream.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the clips' order and the gaps between them.")]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", help="Also write the figures to this file.", show_default=False),
]

_HEAD: Final = (
    "| streams | reason | finals | sent within 25 ms of the end | end to event p50 / p95 / p99 "
    "| last speech to event p50 / p95 / p99 | lead | queue | words | emotion |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@app.command()
def latency(
    speech: SpeechOption = None,
    seconds: SecondsOption = 120.0,
    seed: SeedOption = 0,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    checkpoint: options.CheckpointOption = None,
    config: options.ConfigOption = None,
    to: JsonOption = None,
) -> None:
    """One stream at its natural pace: how long after the last word a label is here."""
    _measure([1], speech, seconds, seed, _flags(asr, vad, checkpoint, config), to)


@app.command()
def streams(
    counts: Annotated[
        str, typer.Option("--counts", help="How many at once, one after the other.")
    ] = "1,4,8,16",
    speech: SpeechOption = None,
    seconds: SecondsOption = 60.0,
    seed: SeedOption = 0,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    checkpoint: options.CheckpointOption = None,
    config: options.ConfigOption = None,
    to: JsonOption = None,
) -> None:
    """Many streams at once, each at its natural pace, on one server after the other."""
    try:
        numbers = [int(part) for part in counts.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"expected --counts such as 1,4,16, got {counts!r}; correct it")
    _measure(numbers, speech, seconds, seed, _flags(asr, vad, checkpoint, config), to)


@app.command()
def replay(
    speech: SpeechOption = None,
    seconds: SecondsOption = 120.0,
    seed: SeedOption = 0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns; the median counts.")] = 5,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    checkpoint: options.CheckpointOption = None,
    config: options.ConfigOption = None,
    to: JsonOption = None,
) -> None:
    """Replay at full speed against the models in a bare loop over the same calls."""
    models = options.model_flags(asr, None, None, None, checkpoint)
    settings = options.settings_from(config, models=models, vad={"name": vad})
    load = make_workload(_clips(speech), seconds, seed=seed)
    engine = options.load_engine(settings, Console(stderr=True), WallClock())
    found = asyncio.run(
        replay_speed(load.samples, engine.transcriber, engine.recognizer, settings, WallClock(), repeats)
    )
    print(
        f"- replay {found.replay:.1f} x, the bare models {found.bare:.1f} x real time: "
        f"{100 * found.share:.0f} % of their speed; {found.utterances} utterances "
        f"in {found.batches} calls, median of {repeats} turns"
    )
    if to is not None:
        to.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


def _clips(speech: Sequence[Path] | None) -> list[Samples]:
    return read_clips(speech or [Path(str(files("emostream.demo") / "recording.ogg"))])


def _flags(asr: str | None, vad: str | None, checkpoint: str | None, config: Path | None) -> list[str]:
    given = {"--asr": asr, "--vad": vad, "--checkpoint": checkpoint, "--config": config}
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]


def _measure(
    counts: Sequence[int],
    speech: Sequence[Path] | None,
    seconds: float,
    seed: int,
    flags: Sequence[str],
    to: Path | None,
) -> None:
    clips = _clips(speech)
    found: list[dict[str, Any]] = []
    print(_HEAD)
    for number in counts:
        loads = [make_workload(clips, seconds, seed=seed, stream=stream) for stream in range(number)]
        with ServerProcess(flags) as house:
            before, began = house.cost(), time.perf_counter()
            runs = asyncio.run(run_streams(house.socket_url, [load.samples for load in loads], WallClock()))
            wall_s, after = time.perf_counter() - began, house.cost()
            counters = house.counters()
        for row in rows(runs):
            print(_line(number, row))
        found.append(_figures(loads, runs, before, after, wall_s, counters, house.ready_s))
    print()
    for one in found:
        print(_told(one))
    if to is not None:
        to.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _figures(
    loads: Sequence[Workload],
    runs: Sequence[StreamRun],
    before: Cost,
    after: Cost,
    wall_s: float,
    counters: dict[tuple[str, tuple[str, ...]], float],
    ready_s: float,
) -> dict[str, Any]:
    spent, wasted = (counters["emostream_model_seconds_total", (use,)] for use in ("all", "wasted"))
    pings = [ping for run in runs for ping in run.pings_s]
    return {
        "streams": len(runs),
        "latency": [row.as_dict() for row in rows(runs)],
        "segmentation": asdict(segmentation(loads, runs)),
        "interim_results": sum(run.interim_results for run in runs),
        "dropped_ms": sum(run.totals.dropped_ms for run in runs if run.totals is not None),
        "errors": [error for run in runs for error in run.errors],
        "refused": [run.refused for run in runs if run.refused is not None],
        "slowest_ping_ms": round(1_000 * max(pings, default=0.0), 1),
        "wasted_share": wasted / spent if spent else 0.0,
        "model_s": spent,
        "cores_busy": (after.cpu_s - before.cpu_s) / wall_s,
        "memory_mib": after.rss_bytes / 2**20,
        "ready_s": ready_s,
        "cores": os.cpu_count(),
    }


def _line(number: int, row: LatencyRow) -> str:
    prompt = "" if row.prompt is None else f"{100 * row.prompt:.1f} %"
    spans = [
        "" if one is None else f"{one.p50:.1f} / {one.p95:.1f} / {one.p99:.1f}"
        for one in (row.after_end, row.after_speech)
    ]
    medians = [f"{row.medians.get(stage, 0.0):.1f}" for stage in ("lead", "queue", "asr", "emotion")]
    return "| " + " | ".join([str(number), row.reason, str(row.finals), prompt, *spans, *medians]) + " |"


def _told(one: dict[str, Any]) -> str:
    heard = one["segmentation"]
    parts = [
        f"{heard['split']} of {heard['clips']} clips split, {heard['missed']} missed",
        f"{one['interim_results']} interim results",
        f"{100 * one['wasted_share']:.1f} % of {one['model_s']:.1f} s of model time wasted",
        f"{one['dropped_ms']} ms dropped, {len(one['errors'])} errors, {len(one['refused'])} refused",
        f"slowest ping {one['slowest_ping_ms']:.0f} ms",
        f"{one['cores_busy']:.2f} of {one['cores']} cores busy, {one['memory_mib']:.0f} MiB",
        f"ready after {one['ready_s']:.1f} s",
    ]
    return f"- {one['streams']} streams: " + "; ".join(parts)
