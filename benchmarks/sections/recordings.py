"""Words and emotion of recordings, against faster-whisper's batched pipeline."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.recordings import PEERS, Measured, Race, drawn, joined
from benchmarks.suite.parts import Failure, Figure, Part, Progress, Setup, table
from benchmarks.suite.speech import speech_clips, spread_files
from emostream.models.errors import ModelError
from emostream.streamer.bench.workload import write_recording
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.errors import SourceError
from emostream.streamer.replay.discovery import ReplayJob, find_jobs

SECONDS: Final = 600.0
LEAST_S: Final = 120.0
"""Of sound, however slow the machine is."""
BUDGET_S: Final = 60.0
"""Of the wall clock for one row, both programs together."""
_FIRST_S: Final = 30.0
"""Of sound that tells how much fits the budget."""
BATCH: Final = 8
"""faster-whisper's own default."""
_PEER: Final = PEERS[0]
_MOST_FILES: Final = 600
_HEAD: Final = (
    "recordings",
    "Whisper",
    "number",
    "sound, s",
    "emostream / faster-whisper, s",
    "CPU s",
    "words",
    "emostream's time against it",
)
_FORMS: Final = {"files": "a file each", "joined": "joined into one recording"}


@dataclass(frozen=True, slots=True)
class Sound:
    """Recordings to draw from. folder: for those that are joined."""

    jobs: Sequence[ReplayJob]
    folder: Path

    def seconds(self, wanted: float, form: str) -> list[ReplayJob]:
        """Recordings of so many seconds, or one of all of them, which is longer by the pauses between."""
        jobs = drawn(self.jobs, wanted)
        if form == "files":
            return jobs
        place = self.folder / f"joined-{wanted:.0f}.wav"
        return find_jobs([joined([job.path for job in jobs], place)])[0]


@dataclass(frozen=True, slots=True)
class Row:
    """One form of the recordings, through both programs."""

    form: str
    recordings: int
    sound_s: float
    ours: Measured
    theirs: Measured

    @property
    def ratio(self) -> float:
        return self.ours.ratio_to(self.theirs)

    def cells(self, whisper: str) -> list[str]:
        pairs = [
            f"{ours:{form}} / {theirs:{form}}"
            for form, ours, theirs in (
                (".1f", self.ours.median_s, self.theirs.median_s),
                (".1f", self.ours.cpu_s[0], self.theirs.cpu_s[0]),
                ("d", self.ours.words, self.theirs.words),
            )
        ]
        return [
            _FORMS[self.form],
            whisper,
            str(self.recordings),
            f"{self.sound_s:.0f}",
            *pairs,
            f"{self.ratio:.2f}",
        ]


def measure(setup: Setup) -> Iterator[Part]:
    most_s = 10.0 if setup.smoke else SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = (
            _demo_files(most_s, folder) if setup.speech is None else spread_files(setup.speech, _MOST_FILES)
        )
        sound = Sound(find_jobs(files)[0], folder)
        yield _description(sound.jobs)
        rows: list[list[str]] = []
        for whisper in ("tiny.en",) if setup.smoke else ("tiny.en", "base"):
            yield Progress(f"Whisper {whisper}")
            try:
                race = Race.load(whisper, BATCH)
            except ModelError as error:
                yield Failure(f"{whisper}: {error}")
                continue
            for row in asyncio.run(_rows(race, sound, most_s)):
                rows.append(row.cells(whisper))
                yield Figure(f"recordings, {whisper}, {row.form}", row.ratio, f"{row.sound_s:.0f} s")
    yield table(_HEAD, rows)


def _description(jobs: Sequence[ReplayJob]) -> str:
    """Raises SourceError where there is nothing to draw from."""
    seconds = [job.seconds for job in jobs if job.seconds]
    if not seconds:
        raise SourceError("expected recordings whose headers say how long they are, got none; name others")
    return (
        f"Recordings of {statistics.median(seconds):.1f} s (median), as a file each and joined into one with "
        "pauses of a second. Both programs have all cores, the same model in int8, no start, and "
        f"batches of {BATCH}. faster-whisper runs as it is by default and gives words alone; it pads a "
        f"recording of less than 30 s to that. One round, after a first {_FIRST_S:.0f} s of sound that tell "
        f"how much both get through in about {BUDGET_S:.0f} s: at least {LEAST_S:.0f} s, at most "
        f"{SECONDS:.0f}. `python -m benchmarks.recordings --speech FOLDER [--joined]` takes ten minutes, "
        "three times over.\n\n"
    )


async def _rows(race: Race, sound: Sound, most_s: float) -> list[Row]:
    """Of each form."""
    async with race.engine.running():
        return [await _row(race, sound, form, most_s) for form in _FORMS]


async def _row(race: Race, sound: Sound, form: str, most_s: float) -> Row:
    first = sound.seconds(min(_FIRST_S, most_s / 2), form)
    first_s = sum(one.median_s for one in await race.run(first, 1, [_PEER]))
    jobs = sound.seconds(fitting_s(duration_s(first), first_s, most_s), form)
    ours, theirs = await race.run(jobs, 1, [_PEER])
    return Row(form, len(jobs), duration_s(jobs), ours, theirs)


def fitting_s(sound_s: float, took_s: float, most_s: float) -> float:
    """Seconds of sound that fit the budget, where `sound_s` of them took `took_s`."""
    return min(max(LEAST_S, BUDGET_S * sound_s / took_s), most_s)


def duration_s(jobs: Sequence[ReplayJob]) -> float:
    return sum(job.seconds or 0.0 for job in jobs)


def _demo_files(seconds: float, folder: Path) -> list[Path]:
    """The demo's utterances again and again, a file each."""
    clips = speech_clips(None)
    files: list[Path] = []
    left = seconds * SAMPLE_RATE_HZ
    while left > 0:
        clip = clips[len(files) % len(clips)]
        files.append(write_recording(clip, folder / f"{len(files):04}.wav"))
        left -= len(clip)
    return files
