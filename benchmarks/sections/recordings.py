"""Words and emotion of ten minutes of recordings, against faster-whisper's batched pipeline."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.recordings import Race, drawn, times_table
from benchmarks.suite.parts import Failure, Figure, Part, Progress, Setup
from benchmarks.suite.speech import speech_clips, spread_files
from emostream.models.errors import ModelError
from emostream.streamer.bench.workload import write_recording
from emostream.streamer.replay.discovery import find_jobs

SECONDS: Final = 600.0
BATCH: Final = 8
"""faster-whisper's own default."""
_MOST_FILES: Final = 600


def measure(setup: Setup) -> Iterator[Part]:
    seconds = 10.0 if setup.smoke else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        files = _demo_files(seconds, Path(folder)) if setup.speech is None else _files(setup.speech)
        jobs = drawn(find_jobs(files)[0], seconds)
        sound_s = sum(job.seconds or 0.0 for job in jobs)
        yield (
            f"{len(jobs)} recordings, {sound_s:.0f} s, one round for the suite's half hour; both have all "
            f"cores, the same model in int8, and no start; batches of {BATCH}. faster-whisper gives "
            "words alone. `python -m benchmarks.recordings` repeats it.\n\n"
        )
        for whisper in ("tiny.en",) if setup.smoke else ("tiny.en", "base"):
            yield Progress(f"Whisper {whisper}")
            try:
                measured = asyncio.run(Race.load(jobs, whisper, BATCH).run(1))
            except ModelError as error:
                yield Failure(f"{whisper}: {error}")
                continue
            yield f"Whisper {whisper}:\n\n{times_table(measured)}\n\n"
            ours, as_it_is, *_ = measured
            yield Figure(f"recordings, {whisper}", ours.ratio_to(as_it_is))


def _files(folder: Path) -> Sequence[Path]:
    return spread_files(folder, _MOST_FILES)


def _demo_files(seconds: float, folder: Path) -> list[Path]:
    """The demo's utterances again and again, a file each."""
    clips = speech_clips(None)
    files: list[Path] = []
    left = seconds * 16_000
    while left > 0:
        clip = clips[len(files) % len(clips)]
        files.append(write_recording(clip, folder / f"{len(files):04}.wav"))
        left -= len(clip)
    return files
