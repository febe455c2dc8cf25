"""The bundled recording and model: what is told live, ahead of time, is what replay tells."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

import pytest

from emostream.models import (
    Clip,
    IncrementalTranscriber,
    Recognizer,
    Transcriber,
    load_recognizer,
    load_transcriber,
)
from emostream.streamer.audio.sources import FileSource
from emostream.streamer.clock import Clock, WallClock
from emostream.streamer.config import LiveSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session, SessionSettings
from emostream.streamer.pipeline.vad import make_vad
from emostream.streamer.protocol import messages
from tests.support.fakes import ManualClock
from tests.support.streams import ListSink, finals

RECORDING = Path(str(files("emostream.demo") / "recording.ogg"))
AHEAD = ("analysis", "interim result", "incremental transcription")
PATIENCE_S = 120  # for a loaded machine; nothing here measures time


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load_recognizer(device="cpu")


@pytest.fixture(scope="module", params=["none", "pocketsphinx"])
def transcriber(request: pytest.FixtureRequest) -> Transcriber | None:
    return load_transcriber(request.param)


async def told(
    engine: Engine, source: FileSource, settings: SessionSettings, clock: Clock
) -> list[messages.ServerEvent]:
    sink = ListSink()
    vad = make_vad(Settings().vad)
    await Session(source, vad, engine, EventLog("test"), [sink], settings, clock).run()
    return sink.events


async def speak(clock: ManualClock) -> None:
    """The recording at its pace, on a machine whose models are always done before the next 100 ms come."""
    while True:
        await clock.somebody_sleeps()
        while under_way := [one for one in asyncio.all_tasks() if one.get_name() in AHEAD]:
            await asyncio.wait(under_way)
        clock.advance_to(clock.now() + 0.1)


async def live(recognizer: Recognizer, transcriber: Transcriber | None) -> list[messages.ServerEvent]:
    """With everything that is done ahead of time, and often."""
    clock = ManualClock()
    engine = Engine(transcriber, recognizer, clock)
    settings = SessionSettings.paced(
        Settings().segmenter, LiveSettings(speculate=True, interim_interval_ms=500)
    )
    async with engine.running(), asyncio.timeout(PATIENCE_S):
        speaking = asyncio.create_task(speak(clock))
        try:
            return await told(engine, FileSource(RECORDING, pace=clock), settings, clock)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


async def replayed(recognizer: Recognizer, transcriber: Transcriber | None) -> list[messages.ServerEvent]:
    engine = Engine(transcriber, recognizer, WallClock())
    async with engine.running(), asyncio.timeout(PATIENCE_S):
        settings = SessionSettings(Settings().segmenter)
        return await told(engine, FileSource(RECORDING), settings, WallClock())


async def test_live_equals_replay(
    recognizer: Recognizer, transcriber: Transcriber | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_ahead: list[Clip] = []
    if isinstance(transcriber, IncrementalTranscriber):
        transcribe_partial = transcriber.transcribe_partial

        def recording(clip: Clip) -> None:
            heard_ahead.append(clip)
            transcribe_partial(clip)

        monkeypatch.setattr(transcriber, "transcribe_partial", recording)
    seen = await live(recognizer, transcriber)
    assert len(heard_ahead) > 30 or not isinstance(transcriber, IncrementalTranscriber)
    reference = finals(await replayed(recognizer, transcriber))
    spoken = finals(seen)
    assert len(reference) >= 4

    # It was live: every analysis was begun before its end was decided, and there were previews.
    assert all(one.timing.lead_ms > 0 for one in spoken)
    assert all(one.timing.lead_ms == 0 for one in reference)
    provisional = {one.utterance for one in seen if isinstance(one, messages.Emotion) and not one.final}
    assert len(provisional) >= 4

    assert [one.reason for one in spoken] == [one.reason for one in reference]
    for one, other in zip(spoken, reference, strict=True):
        assert (one.utterance, one.start_ms, one.end_ms) == (other.utterance, other.start_ms, other.end_ms)
        assert (one.label, one.text, one.uncertain) == (other.label, other.text, other.uncertain)
        assert one.words == other.words
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
        assert one.audio_only == pytest.approx(other.audio_only, abs=1e-3)
        if other.text_only is None:
            assert one.text_only is None
        else:
            assert one.text_only == pytest.approx(other.text_only, abs=1e-3)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-3)
