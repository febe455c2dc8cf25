"""What hours of sound leave in a server's memory, sent as fast as it takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.suite.parts import Figure, Part, Progress, Setup, table
from benchmarks.suite.process_tree import tree_usage
from benchmarks.suite.program import NO_WORDS
from benchmarks.suite.speech import described, speech_clips
from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.bench.workload import make_workload
from emostream.streamer.client import ClientStream, connect
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.protocol import messages

HOURS: Final = 8.0
MOST_S: Final = 180.0
"""Of the wall clock: what is not sent by then is left out, so that the suite stays within its half hour."""
_SETTLED_S: Final = 600.0
_REPEATED_S: Final = 1_200.0
_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds of sound so far, and the server's memory then."""

    audio_s: float
    memory_mib: float


def measure(setup: Setup) -> Iterator[Part]:
    clips = speech_clips(setup.speech)
    hours, most_s = (0.05, 10.0) if setup.smoke else (HOURS, MOST_S)
    sound = make_workload(clips, min(_REPEATED_S, 3_600.0 * hours)).samples
    yield Progress(f"{hours:g} hours, or what is sent in {most_s:.0f} s")
    with ServerProcess(NO_WORDS) as server:
        began = time.perf_counter()
        seen, totals = asyncio.run(_endure(server, sound, hours, most_s))
        took_s = time.perf_counter() - began
    early = next(one for one in seen if one.audio_s >= min(_SETTLED_S, seen[-1].audio_s / 2))
    growth = 100 * (seen[-1].memory_mib / early.memory_mib - 1)
    sent = totals.audio_ms / 3_600_000
    yield (
        f"One stream, `--asr none`, {sent:.1f} hours of sound in {took_s / 60:.1f} minutes "
        f"({totals.audio_ms / 1_000 / took_s:.0f} x real time; eight hours are wanted, and {most_s:.0f} s "
        f"are what the suite gives it): {described(setup.speech, clips)}, repeated. "
        f"{totals.utterances} utterances, "
        f"{totals.dropped_ms} ms dropped. Memory is PSS.\n\n"
    )
    marks = [_at(seen, share * seen[-1].audio_s) for share in (0.25, 0.5, 0.75, 1.0)]
    yield table(
        ("after, hours", "MiB", "against ten minutes"),
        [
            [
                f"{one.audio_s / 3600:.2f}",
                f"{one.memory_mib:.1f}",
                f"{100 * (one.memory_mib / early.memory_mib - 1):+.1f} %",
            ]
            for one in sorted({early, *marks}, key=lambda one: one.audio_s)
        ],
    )
    yield Figure("endurance", growth, f"{sent:.1f} hours")


def _at(seen: Sequence[Seen], audio_s: float) -> Seen:
    return next(one for one in seen if one.audio_s >= audio_s)


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
                seen.append(Seen(event.totals.audio_ms / 1_000, tree_usage(server.pid).memory_mib))
                return seen, event.totals
    raise RuntimeError("expected `closed` as the last event of the stream, got none")


async def _look(server: ServerProcess, stream: ClientStream, seen: list[Seen]) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        usage = await asyncio.to_thread(tree_usage, server.pid)
        seen.append(Seen(stream.results_until_ms / 1_000, usage.memory_mib))


async def _repeated(sound: Samples, hours: float, end: float) -> AsyncIterator[bytes]:
    """Blocks of half a second, until all are sent or the moment `end` has come."""
    for number in range(round(3_600 * hours * SAMPLE_RATE_HZ / _BLOCK_SAMPLES)):
        if time.monotonic() > end:
            return
        first = number * _BLOCK_SAMPLES % (len(sound) - _BLOCK_SAMPLES)
        yield encode_pcm(sound[first : first + _BLOCK_SAMPLES, np.newaxis], "pcm_s16le")
