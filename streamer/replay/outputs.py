"""Where the results of recordings go: one file for all of them, or a file and a plot for each."""

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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from ..audio.sources import Item
from ..display_paths import printable
from ..errors import ConfigError, SourceError
from ..output.document import Document
from ..output.format_names import FormatName
from ..output.formats import FORMATS
from ..output.timeline_figure import Timeline, write_png
from ..pipeline.session import Sink
from ..protocol import messages
from .discovery import ReplayJob
from .result_paths import Paths, paths_beside, paths_in_folder


@dataclass(slots=True)
class ReplayOutcome:
    """What became of one recording.

    totals: None if it was not read to its end. failed: utterances without a result. gaps: how many times it
    has no sound. notes: what else is unusual about it. failure: why it could not be read, or not further.
    """

    job: ReplayJob
    totals: messages.Totals | None = None
    failed: int = 0
    gaps: int = 0
    notes: Sequence[str] = ()
    failure: SourceError | None = None

    @property
    def complete(self) -> bool:
        return self.totals is not None and self.failure is None

    @property
    def partial(self) -> bool:
        """Whether reading failed after some audio."""
        return self.totals is not None and self.failure is not None and self.totals.audio_ms > 0


@dataclass(frozen=True, slots=True)
class OutputSinks:
    """What one recording is sent to.

    sinks: its events. audio_taps: take each item of its source as it is read, and the source's rate in Hz.
    """

    sinks: Sequence[Sink]
    audio_taps: Sequence[Callable[[Item, int], None]] = ()


SinkFactory = Callable[[ReplayJob, ReplayOutcome], AbstractAsyncContextManager[Sink]]
"""Opens the sink of one recording; the outcome is known when the context is left."""

OutputFactory = Callable[[ReplayJob, ReplayOutcome], AbstractAsyncContextManager[OutputSinks]]
"""Opens all outputs of one recording; the outcome is known when the context is left."""


@contextmanager
def open_document(
    path: Path | None, form: FormatName, labels: Sequence[str], *, several: bool = False
) -> Iterator[Document]:
    """A file of results. path: None for standard output. several: whether of more than one recording.

    Raises ConfigError where the file cannot be opened.
    """
    with _open_output(path) as out, closing(FORMATS[form].begin(out, labels, several)) as document:
        yield document


def sink_in(document: Document) -> SinkFactory:
    """All recordings in one file, their events as they come. See also `ordered_sinks`."""
    return lambda job, outcome: nullcontext(document.add(printable(job.path)))


def _open_output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    if path is None:
        return nullcontext(sys.stdout.buffer)
    try:
        return path.open("wb")
    except OSError as error:
        raise ConfigError(
            f"expected to write to {printable(path)}, got: {error.strerror}; choose another --output"
        ) from error


class PerFileOutput:
    """A file for each recording, which appears when the recording is complete.

    folder: of the files; None puts each beside its recording. option: the command-line option that asked for
    them, for messages.
    """

    def __init__(self, folder: Path | None, suffix: str, option: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._option = option
        self._paths: Paths = {}

    def check(self, jobs: Sequence[ReplayJob]) -> list[str]:
        """Name the files, create the folder, and return what the user should know of their names. Raises
        ConfigError where they cannot be written.
        """
        if self._folder is None:
            self._paths, notes = paths_beside(jobs, self._suffix)
        else:
            self._paths, notes = paths_in_folder(jobs, self._folder, self._suffix)
        for folder in {path.parent for path in self._paths.values()}:
            self._check_folder(folder)
        recordings = {job.path.absolute() for job in jobs}
        for path in self._paths.values():
            if path.is_dir() or path.absolute() in recordings:
                raise ConfigError(
                    f"expected to write to {printable(path)}, got a folder or a recording of that name; "
                    f"choose another {self._option}"
                )
        return notes

    def _check_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()  # trying covers rights and read-only disks
        except OSError as error:
            raise ConfigError(
                f"expected a folder to write to at {printable(folder)}, got: {error.strerror}; "
                f"choose another {self._option}"
            ) from error

    def path(self, job: ReplayJob) -> Path:
        """Of a job that `check` got."""
        return self._paths[job]

    def has(self, job: ReplayJob) -> bool:
        return self.path(job).exists()

    def _partial(self, path: Path) -> Path:
        return path.with_name(f"{path.name.removesuffix(self._suffix)}.partial{self._suffix}")

    @contextmanager
    def place_file(self, job: ReplayJob, outcome: ReplayOutcome) -> Iterator[Path]:
        """Where to write: a temporary file, renamed when the recording is complete.

        A recording whose reading failed half-way leaves a `.partial` file, which counts as not done.
        """
        path = self.path(job)
        temporary = path.with_name(f"{path.name}.part")
        try:
            yield temporary
            if outcome.complete:
                temporary.replace(path)
            elif outcome.partial:
                temporary.replace(self._partial(path))
        finally:
            temporary.unlink(missing_ok=True)


class PerFileResults(PerFileOutput):
    """One file of results per recording. folder: None for files beside the recordings."""

    def __init__(self, folder: Path | None, form: FormatName) -> None:
        option = "folder of recordings" if folder is None else "--output-dir"
        super().__init__(folder, FORMATS[form].suffix, option)
        self._form = FORMATS[form]

    def sinks(self, labels: Sequence[str]) -> SinkFactory:
        @asynccontextmanager
        async def open_sink(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[Sink]:
            with (
                self.place_file(job, outcome) as path,
                path.open("wb") as out,
                closing(self._form.begin(out, labels, False)) as document,
            ):
                yield document.add(printable(job.name))

        return open_sink


class PerFilePlots(PerFileOutput):
    """One plot per recording, drawn in a thread, one at a time: matplotlib is not thread-safe."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ".png", "--plot")
        self._drawing = asyncio.Lock()

    @asynccontextmanager
    async def collect(
        self, job: ReplayJob, outcome: ReplayOutcome, labels: Sequence[str]
    ) -> AsyncIterator[Timeline]:
        """The timeline that takes the recording's events and audio; drawn when the context is left."""
        timeline = Timeline(labels)
        with self.place_file(job, outcome) as path:
            yield timeline
            if outcome.complete or outcome.partial:
                async with self._drawing:
                    await asyncio.to_thread(write_png, timeline, printable(job.name), path)


def combined_outputs(
    open_sink: SinkFactory, plots: PerFilePlots | None, labels: Sequence[str]
) -> OutputFactory:
    """Results, and plots if there are any."""

    @asynccontextmanager
    async def open_outputs(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
        async with open_sink(job, outcome) as sink:
            if plots is None:
                yield OutputSinks([sink])
                return
            async with plots.collect(job, outcome, labels) as timeline:
                yield OutputSinks([sink, timeline], [timeline.add_audio])

    return open_outputs
