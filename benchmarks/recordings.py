"""Recordings to words and emotion, against faster-whisper's batched pipeline, which gives words alone:

python -m benchmarks.recordings --speech FOLDER [--whisper base] [--seconds 600] [--joined]

Both have the same recordings, the same model in the same precision and all cores, and are measured in turn
in one process, without start. Writes a table to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.machine import commit, machine
from emostream.models.cpu_threads import usable_threads
from emostream.models.errors import TranscriberError
from emostream.models.transcription.factory import local_copies
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.bench.workload import write_recording
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SAMPLE_RATE_HZ, ModelSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.load_models import load_engine
from emostream.streamer.protocol import messages
from emostream.streamer.replay.discovery import ReplayJob, find_jobs
from emostream.streamer.replay.outputs import OutputSinks, ReplayOutcome
from emostream.streamer.replay.runner import ReplayOptions, ReplayRunner

_GAP_S = 1.0
"""Between recordings that are joined."""


@dataclass(slots=True)
class Measured:
    """One way through all recordings. seconds: of wall clock; cpu_s: of all threads; both of each round.
    words: of the last round.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    words: int = 0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Adds a round."""
        began, cpu_began = time.perf_counter(), time.process_time()
        yield
        self.seconds.append(time.perf_counter() - began)
        self.cpu_s.append(time.process_time() - cpu_began)

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    def ratio_to(self, other: Measured) -> float:
        """Of its time to another's in the same round, the median."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


@dataclass(frozen=True, slots=True)
class Peer:
    """faster-whisper's batched pipeline; options: of `transcribe`."""

    name: str
    options: dict[str, Any]


PEERS: Final = (
    Peer("faster-whisper, as it is by default", {}),
    Peer("faster-whisper, with the times of words", {"word_timestamps": True}),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recordings", description=__doc__)
    parser.add_argument("--speech", type=Path, action="append", required=True, help="recordings, or folders")
    parser.add_argument("--whisper", default="base", help="a Whisper model that is on this machine")
    parser.add_argument("--seconds", type=float, default=600.0, help="of sound, at most")
    parser.add_argument("--joined", action="store_true", help="as one recording")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8, help="faster-whisper's")
    arguments = parser.parse_args()
    jobs = drawn(find_jobs(arguments.speech)[0], arguments.seconds)
    with TemporaryDirectory() as folder:
        if arguments.joined:
            jobs, _ = find_jobs([joined([job.path for job in jobs], Path(folder) / "joined.wav")])
        seconds = sum(job.seconds or 0.0 for job in jobs)
        race = Race.load(arguments.whisper, arguments.batch_size)
        measured = asyncio.run(_measured(race, jobs, arguments.repeats))
        of = "one recording" if arguments.joined else f"{len(jobs)} recordings"
        print(
            f"{of}, {seconds:.0f} s, Whisper {arguments.whisper}, {arguments.repeats} rounds in turn, "
            f"batches of {arguments.batch_size}; {machine()}; commit {commit()}.\n"
        )
        print(times_table(measured))


async def _measured(race: Race, jobs: Sequence[ReplayJob], repeats: int) -> list[Measured]:
    async with race.engine.running():
        return await race.run(jobs, repeats)


@dataclass(frozen=True, slots=True)
class Race:
    """What is compared. batch_size: of the pipeline."""

    engine: Engine
    pipeline: BatchedInferencePipeline
    batch_size: int

    @classmethod
    def load(cls, whisper: str, batch_size: int) -> Race:
        """Raises TranscriberError."""
        copy = next(local_copies(whisper, print), None)
        if copy is None:
            raise TranscriberError(
                f"expected Whisper {whisper} on this machine, found none; pip install 'emostream[whisper]'"
            )
        model = WhisperModel(
            str(copy.folder), device="cpu", compute_type="int8", cpu_threads=usable_threads()
        )
        engine = load_engine(Settings(models=ModelSettings(asr=whisper, device="cpu")), WallClock())
        return cls(engine, BatchedInferencePipeline(model), batch_size)

    async def run(
        self, jobs: Sequence[ReplayJob], repeats: int, peers: Sequence[Peer] = PEERS
    ) -> list[Measured]:
        """While the engine runs: the ways in turn, so that what else the machine does meets all of them; the
        first one is ours.
        """
        ours, theirs = Measured("emostream, words and emotion"), [Measured(peer.name) for peer in peers]
        for _ in range(repeats):
            with ours.timed():
                ours.words = await self._replay(jobs)
            for measured, peer in zip(theirs, peers, strict=True):
                with measured.timed():
                    measured.words = self._transcribe(jobs, peer)
        return [ours, *theirs]

    async def _replay(self, jobs: Sequence[ReplayJob]) -> int:
        """The number of words."""
        words = _WordCount()

        @asynccontextmanager
        async def outputs(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
            yield OutputSinks([words])

        at_a_time = self.engine.recordings_at_a_time
        queued = self.engine.utterances_queued(min(at_a_time, len(jobs)))
        options = ReplayOptions(jobs=at_a_time, queued=queued)
        runner = ReplayRunner(self.engine, Settings(), options, WallClock(), on_done=_raise_failure)
        await runner.run_all(jobs, outputs, asyncio.Event())
        return words.count

    def _transcribe(self, jobs: Sequence[ReplayJob], peer: Peer) -> int:
        count = 0
        for job in jobs:
            segments, _ = self.pipeline.transcribe(str(job.path), batch_size=self.batch_size, **peer.options)
            count += sum(len(segment.text.split()) for segment in segments)
        return count


class _WordCount:
    """Of the finals."""

    def __init__(self) -> None:
        self.count = 0

    async def send(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Emotion) and event.final:
            self.count += len((event.text or "").split())


def _raise_failure(outcome: ReplayOutcome) -> None:
    if outcome.failure is not None:
        raise outcome.failure


def drawn(jobs: Sequence[ReplayJob], seconds: float) -> list[ReplayJob]:
    """Recordings of at most so many seconds together, drawn at random, the same each time; the shortest one
    where none is short enough.
    """
    taken: list[ReplayJob] = []
    left = seconds
    for place in np.random.default_rng(0).permutation(len(jobs)):
        job = jobs[place]
        if job.seconds is not None and job.seconds <= left:
            taken.append(job)
            left -= job.seconds
    known = [job for job in jobs if job.seconds is not None]
    return taken or sorted(known, key=lambda job: job.seconds or 0.0)[:1]


def joined(paths: Sequence[Path], place: Path) -> Path:
    gap = np.zeros(round(_GAP_S * SAMPLE_RATE_HZ), np.float32)
    return write_recording(
        np.concatenate([part for path in paths for part in (decode_file(path), gap)]), place
    )


def times_table(measured: Sequence[Measured]) -> str:
    """Markdown. measured: ours first."""
    lines = ["| | s | CPU s | words | emostream's time against it |", "|---|---|---|---|---|"]
    ours = measured[0]
    for one in measured:
        cpu_s = statistics.median(one.cpu_s)
        ratio = ours.ratio_to(one)
        lines.append(f"| {one.name} | {one.median_s:.1f} | {cpu_s:.1f} | {one.words} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
