"""`emostream replay`: recordings to results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ..clock import WallClock
from ..config import Settings
from ..display_paths import printable
from ..errors import ConfigError
from ..inference.backend import InferenceBackend
from ..optional_deps import require_matplotlib
from ..output.formats import FORMATS, FormatName
from ..pipeline.conversions import describe_models
from ..replay.discovery import ReplayJob, find_jobs
from ..replay.outputs import (
    PerFilePlots,
    PerFileResults,
    ReplayOutcome,
    SinkFactory,
    combined_outputs,
    open_document,
    sink_in,
)
from ..replay.runner import ReplayOptions, ReplayRunner
from ..server.local_stream import stop_on_signals
from ..speakers.store import SpeakerStore
from ..speakers.voice import baseline_of
from .console import check_one_speaker, load_engine, print_failures, print_models, warn_of_other_models
from .option_groups import with_option_groups
from .options import AudioOptions, LanguageOption, ModelOptions, SpeakerOption
from .replay_progress import outcome_reporter, progress_bar


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where results go, and in which format."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write all results to this file instead of to standard output.",
            show_default=False,
        ),
    ] = None
    output_dir: Annotated[
        str | None,
        typer.Option(
            "--output-dir",
            metavar="DIR",
            help="Write a file of results for each recording into this folder.",
            show_default=False,
        ),
    ] = None
    form: Annotated[
        FormatName,
        typer.Option(
            "--format",
            help="jsonl: one JSON event per line. text: for reading in a terminal. csv; parquet: the same, "
            "typed; srt, vtt: subtitles; textgrid: Praat; rttm: diarization tools; audacity: a label track.",
        ),
    ] = "jsonl"
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="DIR",
            help="Draw a plot of each recording into this folder: its waveform and its emotions.",
            show_default=False,
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Skip recordings that have results in --output-dir already, and a plot in --plot.",
        ),
    ] = False

    @property
    def folder(self) -> Path | None:
        return None if self.output_dir is None else Path(self.output_dir)

    def check(self, jobs: int) -> None:
        """Raises ConfigError if options contradict each other or need a package that is not installed."""
        if self.output is not None and self.output_dir is not None:
            raise ConfigError(
                "expected --output (one file) or --output-dir (a folder), got both; leave one out"
            )
        if self.form == "text" and self.output_dir is not None:
            raise ConfigError(
                "expected a format for programs with --output-dir, got text; choose another --format"
            )
        if self.form == "text" and jobs > 1:
            raise ConfigError("expected one recording at a time as text, got --jobs; choose another --format")
        if self.resume and self.output_dir is None:
            raise ConfigError(
                "expected --output-dir with --resume, got none: a single file cannot be resumed"
            )
        if FORMATS[self.form].binary and self.output is None and self.output_dir is None:
            raise ConfigError(
                f"expected --output FILE or --output-dir DIR for {self.form}, a binary format, got none"
            )
        FORMATS[self.form].require()
        if self.plot is not None:
            require_matplotlib("--plot")

    def check_recordings(self, jobs: Sequence[ReplayJob]) -> None:
        """Raises ConfigError if results would overwrite a recording, or do not fit into one file."""
        if self.output is not None and any(_overwrites(self.output, job.path) for job in jobs):
            raise ConfigError(
                f"expected --output to be a new file, got {printable(self.output)}, part of a recording; "
                "choose another"
            )
        if len(jobs) > 1 and self.output_dir is None and not FORMATS[self.form].joins:
            raise ConfigError(
                f"expected --output-dir DIR for several recordings as {self.form}, got none; name one"
            )


@with_option_groups
def replay(
    *,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES",
            help="Recordings in any format that FFmpeg decodes, videos, folders of them, glob patterns, or "
            "sessions that [bold]emostream record[/bold] recorded.",
        ),
    ],
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=1, help="How many recordings at a time, batched on the same models."
        ),
    ] = 1,
    pace: Annotated[
        Literal["full", "realtime"],
        typer.Option("--pace", help="full: as fast as the models go. realtime: at the audio's own pace."),
    ] = "full",
    language: LanguageOption = None,
    speaker: SpeakerOption = None,
    audio: AudioOptions,
    outputs: OutputOptions,
    models: ModelOptions,
) -> None:
    """Analyze recordings: the same pipeline as live, as fast as the models go.

    Every event is one line of JSON; with several recordings each line begins with the file's name. A
    recording that fails is reported at the end and does not stop the others: the exit status is 1 then,
    and 2 if none could be read.
    """
    settings = models.recording_settings(audio=audio.section())
    enrolled = None if speaker is None else SpeakerStore().load(speaker)
    outputs.check(jobs)
    _refuse_uris([*inputs, *([] if outputs.output_dir is None else [outputs.output_dir])])
    check_one_speaker(settings.audio.channels, speaker)
    found, unreadable = find_jobs([Path(place) for place in inputs], settings.audio)
    outputs.check_recordings(found)
    plots = None if outputs.plot is None else PerFilePlots(outputs.plot)
    if plots is not None:
        plots.check(found)
    if not found:
        print_failures(unreadable)
        raise typer.Exit(2)
    console, clock = Console(stderr=True), WallClock()
    engine = load_engine(settings, console, clock)
    print_models(console, engine.model_info)
    options = ReplayOptions(
        jobs=jobs,
        realtime=pace == "realtime",
        language=language,
        speaker=None if enrolled is None else baseline_of(enrolled.voice, engine.model_info),
        recorded_segmentation=models.recorded_segmentation,
        recorded_adapt=models.recorded_adapt,
        recorded_channels=audio.channels is None and models.config is None,
    )
    warn_of_other_models(
        found,
        describe_models(engine, settings.vad),
        console,
        recorded_segmentation=options.recorded_segmentation,
    )
    run = _Run(
        engine, settings, options, outputs, plots, several=len(inputs) > 1 or len(found) > 1, console=console
    )
    todo = run.todo(found)
    outcomes, interrupted = asyncio.run(run.replay(todo, clock))
    failures = [*unreadable, *(one.failure for one in outcomes if one.failure is not None)]
    print_failures(failures)
    if interrupted:
        print_failures([f"interrupted; {len(todo) - len(outcomes)} of {len(todo)} files not begun"])
        raise typer.Exit(130)
    if failures:
        some_read = any(one.failure is None for one in outcomes) or not outcomes
        raise typer.Exit(1 if some_read else 2)
    if any(one.failed for one in outcomes):
        raise typer.Exit(1)


class _Run:
    """The recordings of one call of the command."""

    def __init__(
        self,
        engine: InferenceBackend,
        settings: Settings,
        options: ReplayOptions,
        outputs: OutputOptions,
        plots: PerFilePlots | None,
        *,
        several: bool,
        console: Console,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._options = options
        self._outputs = outputs
        self._plots = plots
        self._several = several
        self._console = console
        self._labels = engine.model_info.labels
        folder = outputs.folder
        self._results = None if folder is None else PerFileResults(folder, outputs.form, self._labels)

    def todo(self, jobs: Sequence[ReplayJob]) -> list[ReplayJob]:
        """All, or with --resume those without a result, or without a plot where plots are drawn.

        Raises ConfigError where results cannot be written.
        """
        results, plots = self._results, self._plots
        if results is None:
            return list(jobs)
        results.check(jobs)
        if not self._outputs.resume:
            return list(jobs)
        todo = [job for job in jobs if not (results.has(job) and (plots is None or plots.has(job)))]
        if len(todo) < len(jobs):
            done = "a result" if plots is None else "a result and a plot"
            self._console.print(f"{len(jobs) - len(todo)} of {len(jobs)} recordings have {done} already.")
        return todo

    async def replay(self, jobs: Sequence[ReplayJob], clock: WallClock) -> tuple[list[ReplayOutcome], bool]:
        """The outcomes, and whether Ctrl-C ended it before all had begun or ended."""
        stop = stop_on_signals()
        with progress_bar(self._console, jobs) as advance, self._open_results() as open_sink:
            runner = ReplayRunner(
                self._engine, self._settings, self._options, clock, outcome_reporter(self._console), advance
            )
            async with self._engine.running():
                outputs = combined_outputs(open_sink, self._plots, self._labels)
                outcomes = await runner.run_all(jobs, outputs, stop)
        return outcomes, stop.is_set()

    @contextmanager
    def _open_results(self) -> Iterator[SinkFactory]:
        if self._results is not None:
            yield self._results.open_sink
            return
        options = self._outputs
        with open_document(options.output, options.form, self._labels, several=self._several) as document:
            yield sink_in(document)


def _refuse_uris(places: Sequence[str]) -> None:
    """Raises ConfigError: a path would lose one of the slashes."""
    for place in places:
        if "://" in place:
            raise ConfigError(
                f"expected files or folders of this machine, got {printable(place)}; "
                "use emostream batch for it"
            )


def _overwrites(output: Path, recording: Path) -> bool:
    """Whether the output file is the recording, or lies in a recorded session's folder."""
    if recording.is_dir():
        return recording.resolve() in output.resolve().parents
    return output.exists() and recording.exists() and output.samefile(recording)
