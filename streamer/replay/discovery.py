"""Recordings to replay: found, and the results and pictures of each in files of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path
from typing import Final

from ..audio.decode import Recording
from ..audio.sources import FileSource, Source
from ..clock import Clock
from ..display_paths import shown
from ..errors import ConfigError, SourceError
from ..output.formats import FORMATS, FormatName
from ..output.timeline_figure import Timeline, write_png
from ..pipeline.session import Sink
from ..protocol import messages
from .capture import RecordedSource, SessionHeader, is_session_folder, read_session_header, session_audio

_AUDIO: Final = (
    ".aac",
    ".aif",
    ".aiff",
    ".flac",
    ".m4a",
    ".mp3",
    ".oga",
    ".ogg",
    ".opus",
    ".wav",
    ".weba",
    ".wma",
)
_VIDEO: Final = (".avi", ".mkv", ".mov", ".mp4", ".webm")
SUFFIXES: Final = frozenset(_AUDIO + _VIDEO)
"""Of what is taken out of a folder; a file that is named is tried whatever it is called."""


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """name: for people and result files, relative to the folder that was given. seconds: as the headers
    promise. kept: of a session that `emostream record` kept, whose folder `path` is.
    """

    path: Path
    name: str
    seconds: float | None = None
    kept: SessionHeader | None = None

    def source(self, pace: Clock | None) -> Source:
        """Raises SourceError. pace: see FileSource."""
        if self.kept is not None:
            return RecordedSource(self.path, pace=pace)
        return FileSource(self.path, pace=pace)


@dataclass(slots=True)
class ReplayOutcome:
    """totals: None where the recording could not be read to its end. failed: utterances without a result."""

    job: ReplayJob
    totals: messages.Totals | None = None
    failed: int = 0
    failure: SourceError | None = None

    @property
    def whole(self) -> bool:
        return self.totals is not None and self.failure is None

    @property
    def partial(self) -> bool:
        """It broke off behind some sound."""
        return self.totals is not None and self.failure is not None and self.totals.audio_ms > 0


def find_jobs(places: Sequence[Path]) -> tuple[list[ReplayJob], list[SourceError]]:
    """Files, folders (searched whole) and patterns -> what there is to play, and what cannot be read.

    Only headers are read, one file at a time.
    """
    jobs: list[ReplayJob] = []
    failures: list[SourceError] = []
    for path, name in search(places, failures):
        try:
            job = make_job(path, name)
            recording = Recording(path if job.kept is None else session_audio(path))
        except SourceError as error:
            failures.append(error)
            continue
        jobs.append(replace(job, seconds=recording.declared_duration_s))
        recording.close()
    return jobs, failures


def make_job(path: Path, name: str) -> ReplayJob:
    """Of one that `search` found; its sound is not looked at. Raises SourceError."""
    return ReplayJob(path, name, kept=read_session_header(path) if is_session_folder(path) else None)


def search(places: Sequence[Path], failures: list[SourceError]) -> Iterator[tuple[Path, str]]:
    """Path and name of each recording (see Job), none of them opened. failures: grows by places without."""
    for place in places:
        if is_session_folder(place):
            yield place, place.resolve().name
        elif place.is_dir():
            inside = [
                path.parent if is_session_folder(path.parent) else path
                for path in sorted(place.rglob("*"))
                if path.suffix.lower() in SUFFIXES and not path.is_dir()
            ]
            if not inside:
                failures.append(
                    SourceError(
                        f"expected recordings in the folder {place}, found none; name files or another folder"
                    )
                )
            yield from ((path, str(path.relative_to(place))) for path in inside)
        elif has_magic(str(place)) and not place.exists():
            root = Path(place.anchor)  # of a relative pattern: here
            matching = sorted(root.glob(str(place.relative_to(root) if place.anchor else place)))
            if not matching:
                failures.append(
                    SourceError(f"expected recordings like {place}, found none; check the pattern")
                )
            yield from ((path, path.name) for path in matching)
        else:
            yield place, place.name


class PerFileOutput:
    """A folder with a file for each recording, there as soon as it is whole. flag: what named the folder."""

    def __init__(self, folder: Path, suffix: str, flag: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._flag = flag

    def path(self, job: ReplayJob) -> Path:
        return self._folder / f"{job.name}{self._suffix}"

    def check(self, jobs: Sequence[ReplayJob]) -> None:
        """Raises ConfigError where two recordings would share a file, or the folder cannot be written to."""
        seen: dict[str, ReplayJob] = {}
        for job in jobs:
            other = seen.setdefault(job.name.casefold(), job)
            if other is not job:
                raise ConfigError(
                    f"expected recordings with names of their own, got {shown(other.path)} and "
                    f"{shown(job.path)}; "
                    "replay their common folder, or one after the other"
                )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"expected a folder at {shown(self._folder)}, got: {error.strerror}; "
                f"choose another {self._flag}"
            ) from error

    def has(self, job: ReplayJob) -> bool:
        return self.path(job).exists()

    def _partial(self, path: Path) -> Path:
        return path.with_name(f"{path.name.removesuffix(self._suffix)}.partial{self._suffix}")

    @contextmanager
    def place_file(self, job: ReplayJob, outcome: ReplayOutcome) -> Iterator[Path]:
        """Where to write. It appears under its name when the recording is done; of one that could not be
        read to its end as `.partial`, which counts as not done.
        """
        path = self.path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        try:
            yield unfinished
            if outcome.whole:
                unfinished.replace(path)
            elif outcome.partial:
                unfinished.replace(self._partial(path))
        finally:
            unfinished.unlink(missing_ok=True)


class Results(PerFileOutput):
    """A file of results each."""

    def __init__(self, folder: Path, form: FormatName, labels: Sequence[str]) -> None:
        super().__init__(folder, FORMATS[form].suffix, "--output-dir")
        self._form = FORMATS[form]
        self._labels = labels

    @contextmanager
    def writing(self, job: ReplayJob, outcome: ReplayOutcome) -> Iterator[Sink]:
        """Its sink."""
        with (
            self.place_file(job, outcome) as path,
            path.open("wb") as out,
            closing(self._form.begin(out, self._labels, False)) as document,
        ):
            yield document.add(shown(job.name))


class Pictures(PerFileOutput):
    """A picture each, drawn one at a time beside the event loop: matplotlib does not promise more."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ".png", "--plot")
        self._at_work = asyncio.Lock()

    @asynccontextmanager
    async def drawing(
        self, job: ReplayJob, outcome: ReplayOutcome, labels: Sequence[str]
    ) -> AsyncIterator[Timeline]:
        """What wants to see its events and hear its sound; drawn behind them."""
        timeline = Timeline(labels)
        with self.place_file(job, outcome) as path:
            yield timeline
            if outcome.whole or outcome.partial:
                async with self._at_work:
                    await asyncio.to_thread(write_png, timeline, shown(job.name), path)
