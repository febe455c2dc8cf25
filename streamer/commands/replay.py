"""`emostream replay`"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from dataclasses import replace
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..broadcast import on_interrupt
from ..clock import WallClock
from ..errors import ConfigError, SourceError
from ..extras import require_matplotlib
from ..file_names import shown
from ..formats import FORMATS, FormatName
from ..player import Outlet, Player
from ..replaying import Job, Outcome, Pictures, Results, find_jobs
from ..session import SessionSettings, Sink
from . import options

SinkFor = Callable[[Job, Outcome], AbstractContextManager[Sink]]


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(help="Recordings in any format FFmpeg decodes, videos, folders of them, or patterns."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write there, all in one, instead of to the terminal.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write a file for each recording into this folder.", show_default=False),
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
        int, typer.Option("--jobs", "-j", min=1, help="How many recordings at a time, on the same models.")
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Leave out what has a result in --out already, and a picture in --plot."
        ),
    ] = False,
    pace: Annotated[
        Literal["full", "natural"],
        typer.Option("--pace", help="full: as fast as the models go. natural: as it was spoken."),
    ] = "full",
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
    )
    clock = WallClock()
    _check(output, out, form, plot, jobs, resume=resume)
    # A wrong name is told before the models are loaded.
    found, unreadable = find_jobs(files)
    failures: list[SourceError | str] = [*unreadable]
    if output is not None and any(_same(output, job.path) for job in found):
        raise ConfigError(
            f"expected --output to be a new file, got the recording {shown(output)}; choose another"
        )
    if len(found) > 1 and out is None and not FORMATS[form].joins:
        raise ConfigError(f"expected --out FOLDER for several recordings as {form}, got none; name one")
    pictures = None if plot is None else Pictures(plot)
    if pictures is not None:
        pictures.check(found)
    outcomes: list[Outcome] = []
    interrupted = False
    if found:
        console = Console(stderr=True)
        engine = options.load_engine(settings, console, clock)
        options.say_who_speaks(console, engine)
        labels = engine.recognizer.labels
        results = None if out is None else Results(out, form, labels)
        if results is not None:
            results.check(found)
        todo = found if results is None or not resume else _left_to_do(found, results, pictures, console)
        natural = pace == "natural"
        session_settings = replace(
            SessionSettings.paced(settings.segmenter, settings.live)
            if natural
            else SessionSettings(settings.segmenter),
            language=language,
        )

        async def play() -> bool:
            nonlocal outcomes
            stop = on_interrupt()
            shared = len(files) > 1 or len(found) > 1
            with (
                _progress(console, todo) as heard,
                _one_file(output, form, labels, shared=shared)
                if results is None
                else nullcontext(results.writing) as sink_for,
            ):
                player = Player(
                    engine, settings, session_settings, clock, jobs, natural, _teller(console), heard
                )
                outcomes = await player.play_all(todo, _outlets(sink_for, pictures, labels), stop)
            return stop.is_set()

        interrupted = asyncio.run(play())
        failures += [one.failure for one in outcomes if one.failure is not None]
        if interrupted:
            failures.append(f"interrupted; {len(todo) - len(outcomes)} of {len(todo)} files not begun")
    for failure in failures:
        print(f"emostream: {shown(str(failure))}", file=sys.stderr)
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
        raise ConfigError("expected --output (one file) or --out (a folder), got both; leave one out")
    if form == "text" and out is not None:
        raise ConfigError("expected a format for programs with --out, got text; choose another --format")
    if form == "text" and jobs > 1:
        raise ConfigError("expected one recording at a time as text, got --jobs; choose another --format")
    if resume and out is None:
        raise ConfigError("expected --out with --resume, got none: results in one file cannot be told apart")
    if FORMATS[form].binary and output is None and out is None:
        raise ConfigError(
            f"expected --output FILE or --out FOLDER for {form}, which is no text, got neither; name one"
        )
    FORMATS[form].require()
    if plot is not None:
        require_matplotlib("--plot")


def _left_to_do(
    found: Sequence[Job], results: Results, pictures: Pictures | None, console: Console
) -> list[Job]:
    """Those that have no result yet, or no picture where pictures are wanted."""
    todo = [job for job in found if not results.has(job) or not (pictures is None or pictures.has(job))]
    if len(todo) < len(found):
        what = "a result" if pictures is None else "a result and a picture"
        console.print(f"{len(found) - len(todo)} of {len(found)} recordings have {what} already.")
    return todo


def _same(output: Path, file: Path) -> bool:
    return output.exists() and file.exists() and output.samefile(file)


def _open_output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    if path is None:
        return nullcontext(sys.stdout.buffer)
    try:
        return path.open("wb")
    except OSError as error:
        raise ConfigError(
            f"expected to write to {shown(path)}, got: {error.strerror}; choose another --output"
        ) from error


@contextmanager
def _one_file(
    output: Path | None, form: FormatName, labels: Sequence[str], *, shared: bool
) -> Iterator[SinkFor]:
    """All recordings in one. shared: whether they are several."""
    with _open_output(output) as out, closing(FORMATS[form].begin(out, labels, shared)) as document:
        yield lambda job, outcome: nullcontext(document.add(shown(job.path)))


def _outlets(
    sink_for: SinkFor, pictures: Pictures | None, labels: Sequence[str]
) -> Callable[[Job, Outcome], AbstractAsyncContextManager[Outlet]]:
    @asynccontextmanager
    async def outlet(job: Job, outcome: Outcome) -> AsyncIterator[Outlet]:
        with sink_for(job, outcome) as sink:
            if pictures is None:
                yield Outlet([sink])
                return
            async with pictures.drawing(job, outcome, labels) as timeline:
                yield Outlet([sink, timeline], [timeline.hear])

    return outlet


@contextmanager
def _progress(console: Console, jobs: Sequence[Job]) -> Iterator[Callable[[float], None]]:
    """A bar over all sound, with its speed, where somebody looks and it is known how much there is."""
    seconds = [job.seconds for job in jobs]
    if not console.is_terminal or None in seconds or sys.stdout.isatty():
        yield lambda _: None  # events in the terminal are progress enough
        return
    total = sum(one for one in seconds if one is not None)
    columns = (BarColumn(), TextColumn("{task.percentage:3.0f}%"), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("replay", total=total, speed="")

        def heard(more: float) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, advance=more, speed="" if speed is None else f"{speed:.0f} x real time")

        yield heard


def _teller(console: Console) -> Callable[[Outcome], None]:
    def told(outcome: Outcome) -> None:
        if outcome.totals is not None:
            said = f"{shown(outcome.job.path)}: {_summary(outcome)}"
            console.print(said, highlight=False, soft_wrap=True, markup=False)

    return told


def _summary(outcome: Outcome) -> str:
    assert outcome.totals is not None
    totals, failed = outcome.totals, outcome.failed
    seconds = totals.audio_ms / 1_000
    if failed:
        return f"{totals.utterances} utterances in {seconds:.1f} s of sound, {failed} more have no result"
    if totals.utterances == 0:
        return f"no utterances in {seconds:.1f} s of sound: no speech was found"
    return f"{totals.utterances} utterances in {seconds:.1f} s of sound"
