"""`emostream replay --serve`: a recording as if it were live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from ..clock import Clock
from ..config import Settings
from ..display_paths import shown
from ..output.formats import FormatName
from ..output.sinks import ConsoleSink
from ..protocol import messages
from ..replay.discovery import ReplayJob, ReplayOutcome
from ..server.app import describe_models
from ..server.listen import bind
from ..server.local_stream import broadcast
from ..server.published_stream import PublishedStream
from . import options
from .replay_sinks import single_output


def serve_recording(
    job: ReplayJob,
    output: Path | None,
    form: FormatName,
    settings: Settings,
    clock: Clock,
    language: str | None,
    *,
    recorded_segmentation: bool,
) -> None:
    """As if it were live, until Ctrl-C."""
    if job.kept is not None and recorded_segmentation:
        settings = msgspec.structs.replace(settings, vad=job.kept.vad, segmenter=job.kept.segmenter)
    bound = bind(settings.server)
    console = Console(stderr=True)
    engine = options.load_engine(settings, console, clock, live=True)
    options.print_models(console, engine.model_info)
    compare_models(
        [job], describe_models(engine, settings), console, recorded_segmentation=recorded_segmentation
    )

    async def run() -> None:
        own = PublishedStream("replay", shown(job.name), "A recording, at the pace at which it was spoken.")
        source = job.source(clock)
        if output is None:
            await broadcast(
                bound, source, own, engine, settings, clock, [ConsoleSink(console)], console, language
            )
            return
        labels = engine.model_info.labels
        with (
            single_output(output, form, labels, shared=False) as sink_for,
            sink_for(job, ReplayOutcome(job)) as sink,
        ):
            await broadcast(bound, source, own, engine, settings, clock, [sink], console, language)

    asyncio.run(run())


def compare_models(
    jobs: Sequence[ReplayJob], models: messages.Models, console: Console, *, recorded_segmentation: bool
) -> None:
    """Other models and settings say other things: a session that was kept is not to blame."""
    if not recorded_segmentation and any(job.kept is not None for job in jobs):
        console.print("Kept sessions are cut by --vad and --config, not as they were.", highlight=False)
    for job in jobs:
        if job.kept is not None and job.kept.models != models:
            then = job.kept.models
            console.print(
                f"{shown(job.path)} was kept with other models: {then.asr or 'no words'}, {then.emotion}, "
                f"{then.vad}",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )
