"""`emostream replay`"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import (
    nullcontext,
)
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ..clock import WallClock
from ..display_paths import shown
from ..errors import ConfigError, SourceError
from ..optional_deps import require_matplotlib
from ..output.formats import FORMATS, FormatName
from ..pipeline.session import SessionSettings
from ..replay.discovery import Pictures, ReplayJob, ReplayOutcome, Results, find_jobs
from ..replay.runner import ReplayRunner
from ..server.app import describe_models
from ..server.local_stream import stop_on_signals
from . import options
from .batch import replay_on_ray
from .batch_options import JOBS, RayFlags, refuse_with_ray
from .live_file import compare_models, serve_recording
from .replay_sinks import outcome_reporter, outlets, progress, single_output, tell


def replay(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES",
            help="Recordings in any format FFmpeg decodes, videos, folders of them, or patterns; with --ray "
            "addresses too, such as s3://bucket/folder.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write there, all in one, instead of to the terminal.", show_default=False
        ),
    ] = None,
    out_place: Annotated[
        str | None,
        typer.Option(
            "--output-dir",
            metavar="PATH",
            help="Write a file for each recording into this folder; with --ray one for some dozens.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        FormatName,
        typer.Option(
            "--format",
            help="jsonl: one event a line. text: for people. csv; parquet: the same with types; srt and vtt: "
            "subtitles; textgrid: Praat; rttm: diarisation tools; audacity: a label track.",
        ),
    ] = "jsonl",
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            help="Draw a picture of each recording into this folder: its sound, and its emotions below.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="How many recordings at a time, on the same models. Default: 1; with --ray 4 a worker.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Leave out what has a result in --output-dir already, and a picture in --plot."
        ),
    ] = False,
    pace: Annotated[
        Literal["full", "realtime"],
        typer.Option("--pace", help="full: as fast as the models go. realtime: as it was spoken."),
    ] = "full",
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Play one recording as if it were live: on the page, and to every client that watches. "
            "Needs --pace realtime.",
        ),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Replay on a Ray cluster: HOST:PORT of one that this machine is part of, local for this "
            "machine alone, or auto (the default) for whichever runs here. Needs --output-dir.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --ray: how many. Default: as the cluster has room for.", show_default=False
        ),
    ] = None,
    cpus_per_worker: Annotated[
        float | None, typer.Option(min=0, help="With --ray. Default: 1.", show_default=False)
    ] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(min=0, help="With --ray; 0.25 lets four share one. Default: 0.", show_default=False),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --ray: recordings that a worker takes at a time, at most. Default: 64.",
            show_default=False,
        ),
    ] = None,
    port: options.PortOption = None,
    keep_audio: options.AudioBufferOption = None,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    compute_type: options.ComputeTypeOption = None,
    dtype: options.DtypeOption = None,
    checkpoint: options.CheckpointOption = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language of the speech, for multilingual Whisper models.", show_default=False),
    ] = None,
    config: options.ConfigOption = None,
) -> None:
    """Judge recordings: the same pipeline as live, as fast as it goes.

    Every event is one line of JSON; with several files each line names its file first. A file that fails is
    reported at the end and the others are done all the same: the exit status is 1 then, and 2 where none
    could be read.
    """
    settings = options.settings_from(
        config,
        models=options.model_flags(asr, device, compute_type, dtype, checkpoint),
        vad={"name": vad},
        live={"audio_buffer_s": keep_audio},
        server={"port": port},
    )
    recorded_segmentation = vad is None and config is None
    flags = RayFlags(ray, workers, cpus_per_worker, gpus_per_worker, batch)
    if jobs is None:
        jobs = 1 if ray is None else JOBS
    if ray is not None:
        refuse_with_ray(output, plot, pace, port, keep_audio, serve=serve)
        wanted = flags.check(out_place, form, settings.models.device)
        replay_on_ray(
            places,
            *wanted,
            flags,
            settings,
            language,
            jobs,
            recorded_segmentation=recorded_segmentation,
            resume=resume,
        )
        return
    flags.refuse_alone([*places, *([] if out_place is None else [out_place])])
    files, out = [Path(place) for place in places], None if out_place is None else Path(out_place)
    clock = WallClock()
    _check(output, out, form, plot, jobs, resume=resume)
    _check_serve(pace, out, plot, port, keep_audio, jobs, serve=serve)
    # A wrong name is told before the models are loaded.
    found, unreadable = find_jobs(files)
    failures: list[SourceError | str] = [*unreadable]
    if output is not None and any(_same(output, job.path) for job in found):
        raise ConfigError(
            f"expected --output to be a new file, got {shown(output)}, part of a recording; choose another"
        )
    if len(found) > 1 and out is None and not FORMATS[form].joins:
        raise ConfigError(
            f"expected --output-dir FOLDER for several recordings as {form}, got none; name one"
        )
    if serve:
        if failures or len(found) != 1:
            tell(failures)
            raise ConfigError(f"expected one recording with --serve, got {len(found)}; name one")
        serve_recording(
            found[0], output, form, settings, clock, language, recorded_segmentation=recorded_segmentation
        )
        return
    pictures = None if plot is None else Pictures(plot)
    if pictures is not None:
        pictures.check(found)
    outcomes: list[ReplayOutcome] = []
    interrupted = False
    if found:
        console = Console(stderr=True)
        engine = options.load_engine(settings, console, clock)
        options.print_models(console, engine.model_info)
        compare_models(
            found, describe_models(engine, settings), console, recorded_segmentation=recorded_segmentation
        )
        labels = engine.model_info.labels
        results = None if out is None else Results(out, form, labels)
        if results is not None:
            results.check(found)
        todo = found if results is None or not resume else _left_to_do(found, results, pictures, console)
        natural = pace == "realtime"
        session_settings = replace(
            SessionSettings.paced(settings.segmenter, settings.live)
            if natural
            else SessionSettings(settings.segmenter),
            language=language,
        )

        async def play() -> bool:
            nonlocal outcomes
            stop = stop_on_signals()
            shared = len(files) > 1 or len(found) > 1
            with (
                progress(console, todo) as heard,
                single_output(output, form, labels, shared=shared)
                if results is None
                else nullcontext(results.writing) as sink_for,
            ):
                player = ReplayRunner(
                    engine,
                    settings,
                    session_settings,
                    clock,
                    jobs,
                    natural,
                    outcome_reporter(console),
                    heard,
                    recorded_segmentation,
                )
                async with engine.running():
                    outcomes = await player.run_all(todo, outlets(sink_for, pictures, labels), stop)
            return stop.is_set()

        interrupted = asyncio.run(play())
        failures += [one.failure for one in outcomes if one.failure is not None]
        if interrupted:
            failures.append(f"interrupted; {len(todo) - len(outcomes)} of {len(todo)} files not begun")
    tell(failures)
    if interrupted:
        raise typer.Exit(130)
    if failures:
        whole = any(one.failure is None for one in outcomes) or (bool(found) and not outcomes)
        raise typer.Exit(1 if whole else 2)
    if any(one.failed for one in outcomes):
        raise typer.Exit(1)


def _check(
    output: Path | None, out: Path | None, form: FormatName, plot: Path | None, jobs: int, *, resume: bool
) -> None:
    """Raises ConfigError where flags contradict each other, or want what is not installed."""
    if output is not None and out is not None:
        raise ConfigError("expected --output (one file) or --output-dir (a folder), got both; leave one out")
    if form == "text" and out is not None:
        raise ConfigError(
            "expected a format for programs with --output-dir, got text; choose another --format"
        )
    if form == "text" and jobs > 1:
        raise ConfigError("expected one recording at a time as text, got --jobs; choose another --format")
    if resume and out is None:
        raise ConfigError(
            "expected --output-dir with --resume, got none: results in one file cannot be told apart"
        )
    if FORMATS[form].binary and output is None and out is None:
        raise ConfigError(
            f"expected --output FILE or --output-dir FOLDER for {form}, a binary format, got none"
        )
    FORMATS[form].require()
    if plot is not None:
        require_matplotlib("--plot")


def _check_serve(
    pace: str,
    out: Path | None,
    plot: Path | None,
    port: int | None,
    keep_audio: int | None,
    jobs: int,
    *,
    serve: bool,
) -> None:
    """Raises ConfigError."""
    if not serve:
        for flag, value in (("--port", port), ("--audio-buffer", keep_audio)):
            if value is not None:
                raise ConfigError(f"expected --serve with {flag}, got none; add it, or leave {flag} out")
        return
    if pace != "realtime":
        raise ConfigError(f"expected --pace realtime with --serve, got {pace}; add it")
    if out is not None or plot is not None:
        raise ConfigError(
            "expected --output with --serve, got --output-dir or --plot; replay it once more for these"
        )


def _left_to_do(
    found: Sequence[ReplayJob], results: Results, pictures: Pictures | None, console: Console
) -> list[ReplayJob]:
    """Those that have no result yet, or no picture where pictures are wanted."""
    todo = [job for job in found if not results.has(job) or not (pictures is None or pictures.has(job))]
    if len(todo) < len(found):
        what = "a result" if pictures is None else "a result and a picture"
        console.print(f"{len(found) - len(todo)} of {len(found)} recordings have {what} already.")
    return todo


def _same(output: Path, file: Path) -> bool:
    """Whether it would be written over, or into a kept session."""
    if file.is_dir():
        return file.resolve() in output.resolve().parents
    return output.exists() and file.exists() and output.samefile(file)
