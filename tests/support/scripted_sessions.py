"""Live sessions from scripted sources, recorded to a folder and replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from emostream.streamer.audio.sources import AudioGap, Flush, Item, Pcm, SourceWarning
from emostream.streamer.audio.tee import TeeSource
from emostream.streamer.config import LiveSettings, SegmenterSettings, Settings, VadSettings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.conversions import describe_models
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.pipeline.vad import make_vad
from emostream.streamer.protocol import messages
from emostream.streamer.replay.capture import RecordedSource, SessionRecorder, read_session_header
from tests.support.fakes import FakeRecognizer, FakeTranscriber, ManualClock, silence, voice
from tests.support.streams import ListSink

RNG = np.random.default_rng(3)
SETTINGS = Settings(
    segmenter=SegmenterSettings(min_silence_ms=300, tail_ms=100), vad=VadSettings(aggressiveness=1)
)


class ItemSource:
    """A source that yields these items."""

    def __init__(self, items: Sequence[Item], rate: int = 16_000, channels: int = 1) -> None:
        self._items = items
        self.sample_rate_hz = rate
        self.channels = channels

    def stop(self) -> None:
        raise AssertionError("expected no stop")

    async def items(self) -> AsyncIterator[Item]:
        for item in self._items:
            yield item


def random_blocks(sound: np.ndarray, least: int = 1, most: int = 4_000) -> list[Item]:
    """Audio as blocks of random lengths."""
    cuts = np.cumsum(RNG.integers(least, most, len(sound)))
    return [Pcm(block) for block in np.split(sound, cuts[cuts < len(sound)])]


def mono(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)[:, None]


def eventful_items() -> list[Item]:
    """Speech with every kind of item between: gaps, warnings, a flush."""
    return [
        *random_blocks(mono(silence(300), voice(1_000), silence(600), voice(700, seed=1))),
        AudioGap(120, "a short one, in mid-speech"),
        *random_blocks(mono(voice(400, seed=2))),
        AudioGap(90_000, "a long one"),
        SourceWarning("bad_message", "expected JSON"),
        *random_blocks(mono(voice(800, seed=3))),
        Flush(),
        *random_blocks(mono(voice(900, seed=4), silence(700))),
        AudioGap(40, "the last"),
    ]


def fake_engine() -> Engine:
    return Engine(FakeTranscriber(), FakeRecognizer(), ManualClock())


async def record_session(folder: Path, source: ItemSource) -> list[messages.ServerEvent]:
    """The events of a live session that is recorded to the folder."""
    engine, sink = fake_engine(), ListSink()
    models = describe_models(engine, SETTINGS.vad)
    with SessionRecorder(
        folder, "test", source.sample_rate_hz, source.channels, SETTINGS, models
    ) as recorder:
        live_settings = SessionSettings.paced(SETTINGS.segmenter, LiveSettings())
        async with engine.running():
            await Session(
                TeeSource(source, [recorder.take]),
                partial(make_vad, SETTINGS.vad),
                engine,
                EventLog("live"),
                [sink, recorder],
                live_settings,
                ManualClock(),
            ).run()
    return sink.events


async def replay_session(folder: Path) -> list[messages.ServerEvent]:
    """The events of a recorded session, replayed with the same settings and models."""
    header = read_session_header(folder)
    engine, sink = fake_engine(), ListSink()
    async with engine.running():
        await Session(
            RecordedSource(folder),
            partial(make_vad, header.vad),
            engine,
            EventLog("replay"),
            [sink],
            SessionSettings(header.segmenter),
            ManualClock(),
        ).run()
    return sink.events
