"""Clients that stream speech to a server in real time and record when each event arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ..audio.frontend import Samples, encode_pcm
from ..client import ClientEvent, ClientStream, Retry, connect
from ..clock import Clock
from ..config import SAMPLE_RATE_HZ
from ..errors import ConnectError
from ..protocol import messages
from .interim_words import ShownText

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 10
PING_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A final, and how long after its last speech sample was sent it arrived."""

    event: messages.Emotion
    after_speech_s: float

    @property
    def after_end_s(self) -> float:
        """From the decision that the utterance has ended to the sending, by the server's clock."""
        return (self.event.timing.total_ms - self.event.timing.endpoint_ms) / 1_000


@dataclass(slots=True)
class StreamRun:
    """One client's run. texts: of all results, interim ones included, in their order. refused: the error, if
    the server rejected or closed the connection.
    """

    finals: list[Arrival] = field(default_factory=list)
    texts: list[ShownText] = field(default_factory=list)
    interim_results: int = 0
    errors: list[str] = field(default_factory=list)
    pings_s: list[float] = field(default_factory=list)
    totals: messages.Totals | None = None
    refused: str | None = None


async def run_streams(
    url: str,
    loads: Sequence[Samples],
    clock: Clock,
    *,
    pace: float = 1.0,
    stagger_s: float = 0.13,
    on_sent: Callable[[float], None] = lambda _: None,
) -> list[StreamRun]:
    """One client per load, each started `stagger_s` after the one before. pace: in multiples of real time.
    on_sent: takes seconds of audio that one of them has sent.
    """
    began = clock.now()
    runs = (
        _run_stream(url, load, clock, began + number * stagger_s, pace, on_sent)
        for number, load in enumerate(loads)
    )
    return list(await asyncio.gather(*runs))


async def _run_stream(
    url: str, load: Samples, clock: Clock, begin: float, pace: float, on_sent: Callable[[float], None]
) -> StreamRun:
    run = StreamRun()
    await clock.sleep_until(begin)
    start = messages.Start(encoding="pcm_s16le", sample_rate=SAMPLE_RATE_HZ, channels=1)
    try:
        async with connect(url, start, retry=Retry(attempts=0)) as stream:
            began = clock.now()
            pinging = asyncio.create_task(_ping(stream, clock, run.pings_s), name="ping")
            try:
                async for event in stream.recognize(_paced(load, clock, began, pace, on_sent)):
                    _record(event, run, clock.now() - began, pace)
            finally:
                pinging.cancel()
                await asyncio.gather(pinging, return_exceptions=True)
    except ConnectError as error:
        run.refused = str(error)
    return run


def _record(event: ClientEvent, run: StreamRun, moment: float, pace: float) -> None:
    if isinstance(event, messages.Emotion):
        run.texts.append(ShownText(event, moment * pace))
    match event:
        case messages.Emotion(final=True):
            # The block with the last speech sample is sent when its last sample is due.
            last = -(-event.end_ms * SAMPLE_RATE_HZ // 1_000 // BLOCK_SAMPLES) * BLOCK_SAMPLES
            run.finals.append(Arrival(event, moment - last / SAMPLE_RATE_HZ / pace))
        case messages.Emotion():
            run.interim_results += 1
        case messages.Error():
            run.errors.append(f"{event.code}: {event.message}")
        case messages.Closed():
            run.totals = event.totals


async def _paced(
    load: Samples, clock: Clock, began: float, pace: float, on_sent: Callable[[float], None]
) -> AsyncIterator[bytes]:
    for start in range(0, len(load), BLOCK_SAMPLES):
        block = load[start : start + BLOCK_SAMPLES]
        await clock.sleep_until(began + (start + len(block)) / SAMPLE_RATE_HZ / pace)
        yield encode_pcm(block[:, np.newaxis], "pcm_s16le")
        on_sent(len(block) / SAMPLE_RATE_HZ)


async def _ping(stream: ClientStream, clock: Clock, found: list[float]) -> None:
    while True:
        found.append(await stream.ping())
        await clock.sleep_until(clock.now() + PING_EVERY_S)
