"""Which recordings to replay: found in folders and by patterns, each one a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path, PurePath
from typing import Final

from emostream.models import MEDIA_SUFFIXES

from ..audio.channels import heard_channels
from ..audio.decode import AudioFile
from ..audio.pipes import STDIN, is_pipe
from ..audio.sources import FileSource, Source
from ..clock import Clock
from ..config import AudioSettings
from ..errors import SourceError
from .capture import RecordedSource, SessionHeader, is_session_folder, read_session_header, session_audio

_ANY: Final = AudioSettings()
"""Of a recording: all its channels, and the first track."""


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """One recording to replay.

    name: in results and messages, relative to the folder that was given. seconds: its duration by its
    headers, None if they do not say. session: the header of a session that `emostream record` recorded,
    whose folder `path` is; None for any other recording. pipe: already open, where it can be read once.
    """

    path: Path
    name: str
    seconds: float | None = None
    session: SessionHeader | None = None
    pipe: AudioFile | None = None

    def source(self, pace: Clock | None, track: int = 1) -> Source:
        """Raises SourceError. pace, track: see FileSource."""
        if self.session is not None:
            return RecordedSource(self.path, pace=pace)
        return FileSource(self.pipe or self.path, pace=pace, track=track)


def find_jobs(
    inputs: Sequence[Path], audio: AudioSettings = _ANY
) -> tuple[list[ReplayJob], list[SourceError]]:
    """Files, folders (searched recursively) and patterns -> recordings to replay, and what cannot be read.

    audio: the track and the channels that each must have. Only headers are read, one file at a time.
    """
    jobs: list[ReplayJob] = []
    failures: list[SourceError] = []
    for path, name in find_paths(inputs, failures):
        try:
            job = make_job(path, name)
            recording = _opened(job, audio)
        except SourceError as error:
            failures.append(error)
            continue
        seconds = recording.declared_duration_s
        if recording.is_pipe:
            jobs.append(replace(job, seconds=seconds, pipe=recording))
            continue
        jobs.append(replace(job, seconds=seconds))
        recording.close()
    return jobs, failures


def _opened(job: ReplayJob, audio: AudioSettings) -> AudioFile:
    if job.session is not None:
        return AudioFile(session_audio(job.path))
    recording = AudioFile(job.path, track=audio.track)
    try:
        heard_channels(audio.channels, recording.channels, str(job.path))
    except SourceError:
        recording.close()
        raise
    return recording


def make_job(path: Path, name: str) -> ReplayJob:
    """The job of a path that `find_paths` found; the audio is not opened. Raises SourceError."""
    return ReplayJob(path, name, session=read_session_header(path) if is_session_folder(path) else None)


def find_paths(inputs: Sequence[Path], failures: list[SourceError]) -> Iterator[tuple[Path, str]]:
    """Path and name (see ReplayJob) of each recording, none of them opened.

    failures: an error is appended for each input that has no recording.
    """
    for place in inputs:
        if place == STDIN:
            yield place, "stdin"
        elif is_session_folder(place):
            yield place, place.resolve().name
        elif place.is_dir():
            paths = [
                path.parent if is_session_folder(path.parent) else path
                for path in sorted(place.rglob("*"))
                if path.suffix.lower() in MEDIA_SUFFIXES
                and not path.is_dir()
                and not is_pipe(path)
                and not is_hidden(path.relative_to(place))
            ]
            if not paths:
                failures.append(
                    SourceError(
                        f"expected recordings in the folder {place}, found none; name files or another folder"
                    )
                )
            yield from ((path, str(path.relative_to(place))) for path in paths)
        elif has_magic(str(place)) and not place.exists():
            root = Path(place.anchor)  # a relative pattern has none: the current folder
            pattern = place.relative_to(root) if place.anchor else place
            matching = sorted(path for path in root.glob(str(pattern)) if not is_hidden(path, pattern.parts))
            if not matching:
                failures.append(
                    SourceError(f"expected recordings like {place}, found none; check the pattern")
                )
            yield from ((path, path.name) for path in matching)
        else:
            yield place, place.name


def is_hidden(path: PurePath, named: Sequence[str] = ()) -> bool:
    """Whether a part of a path is a hidden file or folder, such as macOS's `._a.mp3` beside a.mp3.

    named: parts that were asked for by name.
    """
    return any(part.startswith(".") and part not in (".", "..", *named) for part in path.parts)
