"""Options of where a replay writes its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..display_paths import printable
from ..errors import ConfigError
from ..optional_deps import require_matplotlib
from ..output.format_names import FormatName
from .output_files import check_writable

if TYPE_CHECKING:
    from ..replay.discovery import ReplayJob
    from ..replay.outputs import PerFileResults


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where results go, and in which format."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
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
    beside: Annotated[
        bool,
        typer.Option(
            "--beside",
            help="Write the results of each recording beside it, under its name: talk.srt beside talk.mp4.",
        ),
    ] = False
    form: Annotated[
        FormatName,
        typer.Option(
            "--format",
            help="jsonl: one JSON event per line. text: for reading in a terminal. csv; parquet: the same, "
            "typed; srt, vtt: subtitles; textgrid: Praat; elan: ELAN; rttm: diarization tools; audacity: "
            "a label track; labelstudio: tasks with predictions.",
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
            help="Skip recordings that have results in --output-dir (or --beside) already, and a "
            "plot in --plot.",
        ),
    ] = False

    @property
    def per_file(self) -> bool:
        """Whether each recording has a file of its own."""
        return self.beside or self.output_dir is not None

    def results(self) -> PerFileResults | None:
        """None where all are in one file."""
        if not self.per_file:
            return None
        from ..replay.outputs import PerFileResults

        return PerFileResults(None if self.output_dir is None else Path(self.output_dir), self.form)

    def check(self) -> None:
        """Raises ConfigError if options contradict each other or need a package that is not installed."""
        from ..output.formats import FORMATS

        places = (self.output, "--output"), (self.output_dir, "--output-dir"), (self.beside, "--beside")
        chosen = [name for value, name in places if value]
        if len(chosen) > 1:
            raise ConfigError(
                "expected one of --output (one file), --output-dir (a folder) and --beside, got "
                f"{' and '.join(chosen)}; leave one out"
            )
        if self.form == "text" and self.per_file:
            raise ConfigError(
                f"expected a format for programs with {chosen[0]}, got text; choose another --format"
            )
        if self.resume and not self.per_file:
            raise ConfigError(
                "expected --output-dir or --beside with --resume, got none: a single file cannot be resumed"
            )
        if FORMATS[self.form].binary and self.output is None and not self.per_file:
            raise ConfigError(
                f"expected --output FILE or --output-dir DIR for {self.form}, a binary format, got none"
            )
        FORMATS[self.form].require()
        if self.plot is not None:
            require_matplotlib("--plot")

    def check_recordings(self, jobs: Sequence[ReplayJob]) -> None:
        """Raises ConfigError if results cannot be written, overwrite a recording, or do not fit one file."""
        from ..output.formats import FORMATS

        if self.output is not None and any(_overwrites(self.output, job.path) for job in jobs):
            raise ConfigError(
                f"expected --output to be a new file, got {printable(self.output)}, part of a recording; "
                "choose another"
            )
        if self.output is not None:
            check_writable(self.output, "--output")
        if len(jobs) > 1 and not self.per_file and not FORMATS[self.form].joins:
            raise ConfigError(
                f"expected --output-dir DIR or --beside for several recordings as {self.form}, got none"
            )
        if self.beside and any(job.pipe is not None for job in jobs):
            raise ConfigError(
                "expected recordings in files with --beside, got a pipe; choose --output or --output-dir"
            )

    def check_existing(self, results: PerFileResults | None, jobs: Sequence[ReplayJob]) -> None:
        """Raises ConfigError if files beside the recordings, which may be somebody's work, are replaced."""
        if not self.beside or self.resume or results is None:
            return
        existing = [printable(results.path(job)) for job in jobs if results.has(job)]
        if existing:
            raise ConfigError(
                f"expected no results beside the recordings yet, got {len(existing)}, such as {existing[0]}; "
                "move them away, or skip their recordings with --resume"
            )


def _overwrites(output: Path, recording: Path) -> bool:
    """Whether the output file is the recording, or lies in a recorded session's folder."""
    if recording.is_dir():
        return recording.resolve() in output.resolve().parents
    return output.exists() and recording.exists() and output.samefile(recording)
