"""Many recordings through one engine: found, played some at a time, each with a result file of its own or
all in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import Any, Final, TextIO

from . import events
from .broadcast import run_session
from .clock import Clock
from .config import Settings
from .engine import Engine
from .errors import AnalysisError, ConfigError, SourceError
from .file_names import shown
from .formats import FORMATS, FormatName
from .hub import Hub
from .recording import Recording
from .session import Session, SessionSettings, Sink
from .sources import FileSource, Item, Pcm
from .vad import make_vad

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
class Job:
    """name: for people and result files, relative to the folder that was given. seconds: as the headers
    promise.
    """

    path: Path
    name: str
    seconds: float | None = None


@dataclass(slots=True)
class Outcome:
    """totals: None where the recording could not be read to its end. failed: utterances without a result."""

    job: Job
    totals: events.Totals | None = None
    failed: int = 0
    failure: SourceError | None = None


def find_jobs(places: Sequence[Path]) -> tuple[list[Job], list[SourceError]]:
    """Files, folders (searched whole) and patterns -> what there is to play, and what cannot be read.

    Only headers are read, one file at a time.
    """
    jobs: list[Job] = []
    failures: list[SourceError] = []
    for path, name in _found(places, failures):
        try:
            recording = Recording(path)
        except SourceError as error:
            failures.append(error)
            continue
        jobs.append(Job(path, name, recording.declared_s))
        recording.close()
    return jobs, failures


def _found(places: Sequence[Path], failures: list[SourceError]) -> Iterator[tuple[Path, str]]:
    for place in places:
        if place.is_dir():
            inside = [
                path
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


class Results:
    """A folder with a file of results for each recording, there as soon as it is whole."""

    def __init__(self, folder: Path, form: FormatName, labels: Sequence[str]) -> None:
        self._folder = folder
        self._form = form
        self._labels = labels

    def path(self, job: Job) -> Path:
        return self._folder / f"{job.name}{FORMATS[self._form].suffix}"

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises ConfigError where two recordings would share a file, or the folder cannot be written to."""
        seen: dict[str, Job] = {}
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
                f"expected a folder at {shown(self._folder)}, got: {error.strerror}; choose another --out"
            ) from error

    def open_jobs(self, jobs: Sequence[Job]) -> list[Job]:
        """Those that have no result yet."""
        return [job for job in jobs if not self.path(job).exists()]

    @contextmanager
    def writing(self, job: Job, outcome: Outcome) -> Iterator[Sink]:
        """What is written appears under its name when the recording is done; of one that could not be read
        to its end as `.partial`, which counts as not done.
        """
        path = self.path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as out:
                yield begin(self._form, out, shown(job.name), self._labels)
            if outcome.totals is None:
                return
            if outcome.failure is None:
                unfinished.replace(path)
            elif outcome.totals.audio_ms:
                suffix = FORMATS[self._form].suffix
                unfinished.replace(path.with_name(f"{path.name.removesuffix(suffix)}.partial{suffix}"))
        finally:
            unfinished.unlink(missing_ok=True)


def begin(form: FormatName, out: TextIO, recording: str, labels: Sequence[str]) -> Sink:
    """A sink in this format, whose file begins here."""
    sink = FORMATS[form].make(out, recording, labels)
    head = getattr(sink, "head", None)
    if head is not None:
        head()
    return sink


@dataclass(slots=True)
class Player:
    """jobs: how many recordings at a time. natural: at the pace at which they were spoken. told: of every
    recording that is done or has failed. heard: of seconds of sound, as they are read.
    """

    engine: Engine
    settings: Settings
    session_settings: SessionSettings
    clock: Clock
    jobs: int
    natural: bool
    told: Callable[[Outcome], None]
    heard: Callable[[float], None] = field(default=lambda seconds: None)

    async def play_all(
        self, jobs: Sequence[Job], sink_for: Callable[[Job, Outcome], Any], stop: asyncio.Event
    ) -> list[Outcome]:
        """sink_for: a context manager that gives a recording's sink. Those that were not begun when `stop`
        was set have no outcome.
        """
        outcomes: list[Outcome] = []
        waiting = iter(jobs)

        async def work() -> None:
            for job in waiting:
                if stop.is_set():
                    return
                outcome = Outcome(job)
                outcomes.append(outcome)
                with sink_for(job, outcome) as sink:
                    await self._play(job, sink, outcome, stop)
                self.told(outcome)

        async with self.engine.running(), asyncio.TaskGroup() as group:
            for _ in range(min(self.jobs, len(jobs))):
                group.create_task(work(), name="replay")
        return outcomes

    async def _play(self, job: Job, sink: Sink, outcome: Outcome, stop: asyncio.Event) -> None:
        totals = _TotalsSink()
        try:
            source = _Heard(FileSource(job.path, pace=self.clock if self.natural else None), self.heard)
            session = Session(
                source,
                make_vad(self.settings.vad),
                self.engine,
                Hub(shown(job.name)),
                [sink, totals],
                self.session_settings,
                self.clock,
            )
            whole = await run_session(session, stop, on_stop=self.engine.hurry)
        except SourceError as error:
            outcome.failure = error
            whole = True
        outcome.failed = totals.failed
        outcome.totals = totals.totals if whole else None


class _Heard:
    """A recording that says how much of it has been read."""

    def __init__(self, source: FileSource, heard: Callable[[float], None]) -> None:
        self._source = source
        self._heard = heard
        self.sample_rate_hz = source.sample_rate_hz
        self.channels = source.channels

    def stop(self) -> None:
        self._source.stop()

    async def items(self) -> AsyncIterator[Item]:
        async for item in self._source.items():
            yield item
            if isinstance(item, Pcm):
                self._heard(len(item.block) / self.sample_rate_hz)


class _TotalsSink:
    """Keeps the last word of a session, and how many utterances have no result."""

    def __init__(self) -> None:
        self.totals: events.Totals | None = None
        self.failed = 0

    async def send(self, event: events.ServerEvent) -> None:
        if isinstance(event, events.Closed):
            self.totals = event.totals
        elif isinstance(event, events.Error) and event.code == AnalysisError.code:
            self.failed += 1
