"""`emostream replay`: recordings to results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console

from ..clock import WallClock
from ..config import Settings
from ..display_paths import printable
from ..errors import ConfigError
from ..inference.backend import InferenceBackend
from ..pipeline.conversions import describe_models
from ..plurals import counted
from ..replay.discovery import ReplayJob, find_jobs
from ..replay.ordered_sinks import OrderedSinks
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
from .console import (
    check_one_speaker,
    load_engine,
    print_failures,
    print_line,
    print_models,
    warn_of_other_models,
)
from .options import AudioOptions, ModelOptions
from .output_options import OutputOptions
from .replay_progress import already, outcome_reporter, progress_bar, total_line


def replay(
    *,
    inputs: list[str],
    jobs: int | None,
    pace: Literal["full", "realtime"],
    language: str | None,
    speaker: str | None,
    audio: AudioOptions,
    outputs: OutputOptions,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.replay` has its options."""
    settings = models.recording_settings(audio=audio.section())
    enrolled = None if speaker is None else SpeakerStore().load(speaker)
    outputs.check()
    _refuse_uris([*inputs, *([] if outputs.output_dir is None else [outputs.output_dir])])
    check_one_speaker(settings.audio.channels, speaker)
    found, unreadable = find_jobs([Path(place) for place in inputs], settings.audio)
    outputs.check_recordings(found)
    if not found:
        print_failures(unreadable)
        raise typer.Exit(2)
    _check_pipes(found, settings)
    console, clock = Console(stderr=True), WallClock()
    results, plots = outputs.results(), None if outputs.plot is None else PerFilePlots(outputs.plot)
    for note in [note for each in (results, plots) if each is not None for note in each.check(found)]:
        print_line(console, note)
    outputs.check_existing(results, found)
    engine = load_engine(settings, console, clock)
    print_models(console, engine.model_info)
    realtime = pace == "realtime"
    jobs = jobs or (1 if realtime else engine.recordings_at_a_time)
    options = ReplayOptions(
        jobs=jobs,
        queued=engine.utterances_queued(min(jobs, len(found))),
        realtime=realtime,
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
    files = _PerFile(results, plots)
    run = _Run(
        engine, settings, options, outputs, files, several=len(inputs) > 1 or len(found) > 1, console=console
    )
    todo = run.todo(found)
    began = clock.now()
    outcomes, interrupted = asyncio.run(run.replay(todo, clock))
    if len(todo) + len(unreadable) > 1:
        print_line(console, total_line(outcomes, len(unreadable), clock.now() - began))
    failures = [*unreadable, *(one.failure for one in outcomes if one.failure is not None)]
    print_failures(failures)
    if interrupted:
        not_begun = f"{len(todo) - len(outcomes)} of {counted(len(todo), 'file')} not begun"
        print_failures([f"interrupted; {not_begun}"])
        raise typer.Exit(130)
    if failures:
        some_read = any(one.failure is None for one in outcomes) or not outcomes
        raise typer.Exit(1 if some_read else 2)
    if any(one.failed for one in outcomes):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _PerFile:
    """Outputs with a file for each recording, if there are any."""

    results: PerFileResults | None
    plots: PerFilePlots | None


class _Run:
    """The recordings of one call of the command."""

    def __init__(
        self,
        engine: InferenceBackend,
        settings: Settings,
        options: ReplayOptions,
        outputs: OutputOptions,
        files: _PerFile,
        *,
        several: bool,
        console: Console,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._options = options
        self._outputs = outputs
        self._results, self._plots = files.results, files.plots
        self._several = several
        self._console = console
        self._labels = engine.model_info.labels

    def todo(self, jobs: Sequence[ReplayJob]) -> list[ReplayJob]:
        """All, or with --resume those without a result, or without a plot where plots are drawn."""
        results, plots = self._results, self._plots
        if results is not None or plots is not None:
            jobs = list(dict.fromkeys(jobs))  # one file each, however often it is named
        if results is None or not self._outputs.resume:
            return list(jobs)
        todo = [job for job in jobs if not (results.has(job) and (plots is None or plots.has(job)))]
        if len(todo) < len(jobs):
            done = "a result" if plots is None else "a result and a plot"
            print_line(self._console, already(len(jobs) - len(todo), len(jobs), done))
        return todo

    async def replay(self, jobs: Sequence[ReplayJob], clock: WallClock) -> tuple[list[ReplayOutcome], bool]:
        """The outcomes, and whether Ctrl-C ended it before all had begun or ended."""
        stop = stop_on_signals()
        with progress_bar(self._console, jobs) as advance, self._open_results() as open_sink:
            runner = ReplayRunner(
                self._engine,
                self._settings,
                self._options,
                clock,
                outcome_reporter(self._console, len(jobs)),
                advance,
            )
            async with self._engine.running():
                outputs = combined_outputs(open_sink, self._plots, self._labels)
                outcomes = await runner.run_all(jobs, outputs, stop)
        return outcomes, stop.is_set()

    @contextmanager
    def _open_results(self) -> Iterator[SinkFactory]:
        if self._results is not None:
            yield self._results.sinks(self._labels)
            return
        options = self._outputs
        with open_document(options.output, options.form, self._labels, several=self._several) as document:
            yield sink_in(document) if self._options.realtime else OrderedSinks(document).open


def _refuse_uris(places: Sequence[str]) -> None:
    """Raises ConfigError: a path would lose one of the slashes."""
    for place in places:
        if "://" in place and not Path(place).exists():
            how = "use emostream batch for it"
            if place.startswith(("http://", "https://")):
                how = "download it, or pipe it: curl -L ADDRESS | emostream replay -"
            raise ConfigError(f"expected files or folders of this machine, got {printable(place)}; {how}")


def _check_pipes(jobs: Sequence[ReplayJob], settings: Settings) -> None:
    """Raises ConfigError for what has to be read twice."""
    if settings.speaker.adapt == "recording" and any(job.pipe is not None for job in jobs):
        raise ConfigError(
            "expected recordings in files with --adapt recording, which reads them twice, got a pipe; save "
            "it first, or choose --adapt stream"
        )
