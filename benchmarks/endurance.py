"""What hours of sound in one stream leave in a server's memory, sent as fast as it takes them:

python -m benchmarks.endurance [--hours 8] [--speech FOLDER]

Writes a table to standard output. The suite has a part of it, as much as its half hour allows.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.machine import stamp
from benchmarks.suite.parts import table
from benchmarks.suite.process_tree import tree_usage
from benchmarks.suite.program import NO_WORDS
from benchmarks.suite.runner import duration
from benchmarks.suite.speech import described, speech_clips
from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.bench.workload import make_workload
from emostream.streamer.client import ClientStream, connect
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.protocol import messages

HOURS: Final = 8.0
_SETTLED_H: Final = 1 / 6
_FULL_H: Final = 0.5
_MARKS_H: Final = (_FULL_H, 1.0, 2.0, 4.0, 8.0)
_REPEATED_S: Final = 1_200.0
_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
_LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Seen:
    """Hours of sound so far, and the server's memory then."""

    hours: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Endurance:
    """seen: ascending, the end of the stream last. took_s: of the wall clock."""

    seen: Sequence[Seen]
    totals: messages.Totals
    took_s: float

    @property
    def hours(self) -> float:
        return self.totals.audio_ms / 3_600_000

    def growth(self, since_h: float = _SETTLED_H) -> float:
        """Per cent at the end against after `since_h`, or against the middle of a shorter stream."""
        return _growth(self._after(since_h), self.seen[-1])

    def text(self, speech: str) -> str:
        """Markdown. speech: what was sent."""
        first, last = self._after(_SETTLED_H), self.seen[-1]
        marks = [self._at(hours) for hours in _MARKS_H if hours < last.hours]
        return (
            f"One stream, `--asr none`, {self.hours:.2g} hours of sound in {duration(self.took_s)} "
            f"({3_600 * self.hours / self.took_s:.0f} x real time): {speech}, repeated. "
            f"{self.totals.utterances} utterances, {self.totals.dropped_ms} ms dropped. Memory is "
            f"PSS.{self._later()}\n\n"
        ) + table(
            ("after, hours", "MiB", f"against {60 * first.hours:.0f} minutes"),
            [
                [f"{one.hours:.2f}", f"{one.memory_mib:.1f}", f"{_growth(first, one):+.1f} %"]
                for one in dict.fromkeys([first, *marks, last])
            ],
        )

    def _later(self) -> str:
        """Apart from what grows for some minutes and then no more."""
        if self.seen[-1].hours < 2 * _FULL_H:
            return ""
        return (
            " It grows at first: the last 1,000 events are kept for a client that comes back, and the "
            "allocator keeps what the longest utterances took. "
            f"From half an hour on: {self.growth(_FULL_H):+.1f} %."
        )

    def _after(self, hours: float) -> Seen:
        """The first look after so much sound, and not after the middle."""
        return self._at(min(hours, self.seen[-1].hours / 2))

    def _at(self, hours: float) -> Seen:
        return next(one for one in self.seen if one.hours >= hours)


def _growth(before: Seen, after: Seen) -> float:
    """Per cent."""
    return 100 * (after.memory_mib / before.memory_mib - 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.endurance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hours", type=float, default=HOURS, help="of sound; eight take about four minutes")
    parser.add_argument("--speech", type=Path, metavar="FOLDER", help="recordings of one utterance each")
    arguments = parser.parse_args()
    clips = speech_clips(arguments.speech)
    endurance = measure_endurance(clips, arguments.hours)
    print(f"{endurance.text(described(arguments.speech, clips))}Measured on {stamp()}.")


def measure_endurance(clips: Sequence[Samples], hours: float, most_s: float = float("inf")) -> Endurance:
    """Of one stream to a new server. most_s: of the wall clock, after which no more is sent."""
    sound = make_workload(clips, min(_REPEATED_S, 3_600.0 * hours)).samples
    with ServerProcess(NO_WORDS) as server:
        began = time.perf_counter()
        seen, totals = asyncio.run(_endure(server, sound, hours, most_s))
        return Endurance(seen, totals, time.perf_counter() - began)


async def _endure(
    server: ServerProcess, sound: Samples, hours: float, most_s: float
) -> tuple[list[Seen], messages.Totals]:
    start = messages.Start(encoding="pcm_s16le", sample_rate=SAMPLE_RATE_HZ, channels=1)
    seen: list[Seen] = []
    async with connect(server.socket_url, start) as stream, asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(_look(server, stream, seen), name="memory")
        async for event in stream.recognize(_repeated(sound, hours, time.monotonic() + most_s)):
            if isinstance(event, messages.Closed):
                looking.cancel()
                seen.append(Seen(event.totals.audio_ms / 3_600_000, tree_usage(server.pid).memory_mib))
                return seen, event.totals
    raise RuntimeError("expected `closed` as the last event of the stream, got none")


async def _look(server: ServerProcess, stream: ClientStream, seen: list[Seen]) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        usage = await asyncio.to_thread(tree_usage, server.pid)
        seen.append(Seen(stream.results_until_ms / 3_600_000, usage.memory_mib))


async def _repeated(sound: Samples, hours: float, end: float) -> AsyncIterator[bytes]:
    """Blocks of half a second, until all are sent or the moment `end` has come."""
    for number in range(round(3_600 * hours * SAMPLE_RATE_HZ / _BLOCK_SAMPLES)):
        if time.monotonic() > end:
            return
        first = number * _BLOCK_SAMPLES % (len(sound) - _BLOCK_SAMPLES)
        yield encode_pcm(sound[first : first + _BLOCK_SAMPLES, np.newaxis], "pcm_s16le")


if __name__ == "__main__":
    main()
