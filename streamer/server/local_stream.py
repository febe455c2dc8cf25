"""A stream of this machine, such as its microphone: analysed here, shown by the page."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from socket import socket as Socket
from typing import Final

from rich.console import Console

from emostream.models import SpeakerBaseline

from ..audio.peaks import PeakHistory
from ..audio.ring_buffer import AudioRingBuffer
from ..audio.sources import Source
from ..audio.tee import TeeSource
from ..clock import Clock
from ..config import Settings
from ..inference.backend import InferenceBackend
from ..pipeline.running_baseline import SpeakerOptions
from ..pipeline.session import Session, Sink
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..protocol import messages
from .app import Server
from .published_stream import PublishedStream

_FINALS_TIMEOUT_S: Final = 1.2
_PAUSE_S: Final = 6.0
"""Between two rounds of a recording: the whole of the first is on the page so long."""


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set, instead of an exception at an arbitrary line. A second signal has
    its default effect.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop_once() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    def stop_once_on_windows(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(stop.set)
        signal.signal(number, signal.default_int_handler)

    for number in signals:
        try:
            loop.add_signal_handler(number, stop_once)
        except NotImplementedError:  # Windows: its event loops have no signal handlers
            signal.signal(number, stop_once_on_windows)
    return stop


async def run_until_stopped(
    session: Session, stop: asyncio.Event, *, on_stop: Callable[[], None] | None = None
) -> bool:
    """Run to its end, or until `stop` is set: then its finals still come, within a bound.

    Return whether its source came to its end. Raises what the session raises.
    """
    running = asyncio.create_task(session.run(), name="session")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
            return True
        if on_stop is not None:
            on_stop()
        session.stop()
        await asyncio.wait({running}, timeout=_FINALS_TIMEOUT_S)
        if running.done():
            await running
        return False  # a model that does not answer must not delay the exit
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


async def serve_local_stream(
    bound: Socket,
    source: Source,
    stream: PublishedStream,
    engine: InferenceBackend,
    settings: Settings,
    clock: Clock,
    sinks: Sequence[Sink],
    console: Console,
    language: str | None = None,
    speaker: SpeakerBaseline | None = None,
    next_round: Callable[[], Source] | None = None,
) -> None:
    """Serve the page and analyse the source until Ctrl-C, also after the source has ended. speaker: who
    speaks, if he is known. next_round: the source of the session that follows, after a pause; None: none.
    """
    stop = stop_on_signals()
    source, stream = _observed(source, stream, settings)
    session_settings = replace(
        SessionSettings.paced(settings.segmenter, settings.live),
        language=language,
        channels=settings.audio.channels,
        speaker=SpeakerOptions(adapt=settings.speaker.adapt != "off", start=speaker),
    )
    async with engine.running(), Server(bound, engine, settings, clock, [stream]) as server:
        console.print(f"The page: {server.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        while True:
            vad = partial(make_vad, settings.vad)
            session = Session(source, vad, engine, stream.event_log, sinks, session_settings, clock)
            try:
                complete = await run_until_stopped(session, stop, on_stop=server.begin_shutdown)
            finally:
                if stream.peaks is not None:
                    stream.peaks.end()
                # Subscribers get a last event also where the session failed or was cut short.
                stream.event_log.end(messages.Closed(reason="error", totals=session.totals))
            if complete and next_round is None:
                await stop.wait()
            elif complete:
                await _pause(stop, clock)
            if stop.is_set() or next_round is None:
                return
            source, stream = _observed(next_round(), _begun_again(stream), settings)
            server.publish(stream)


def _observed(source: Source, stream: PublishedStream, settings: Settings) -> tuple[Source, PublishedStream]:
    """The source and its stream, which gets its waveform, and its sound where that is buffered."""
    peaks, buffer = PeakHistory(source.sample_rate_hz), None
    if settings.live.audio_buffer_s:
        buffer = AudioRingBuffer(settings.live.audio_buffer_s, source.sample_rate_hz, source.channels)
    observers = [peaks.add] if buffer is None else [peaks.add, buffer.add]
    return TeeSource(source, observers), replace(stream, audio=buffer, peaks=peaks)


def _begun_again(stream: PublishedStream) -> PublishedStream:
    return PublishedStream(stream.name, stream.title, stream.note)


async def _pause(stop: asyncio.Event, clock: Clock) -> None:
    """Between two rounds, or until `stop` is set."""
    pausing = asyncio.create_task(clock.sleep_until(clock.now() + _PAUSE_S), name="pause")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({pausing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pausing, stopping):
            task.cancel()
        await asyncio.gather(pausing, stopping, return_exceptions=True)
