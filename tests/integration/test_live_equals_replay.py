"""The bundled recording and model: live events, analysed ahead of time, equal those of replay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from emostream.models import (
    Clip,
    IncrementalTranscriber,
    Recognizer,
    Transcriber,
    load_recognizer,
    load_speech_detector,
    load_transcriber,
)
from emostream.models.errors import TranscriberError
from emostream.streamer.audio.sources import FileSource
from emostream.streamer.clock import Clock, WallClock
from emostream.streamer.config import LiveSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.pipeline.vad import make_vad
from emostream.streamer.protocol import messages
from tests.support.fakes import AdaptiveRecognizer, FakeTranscriber, ManualClock
from tests.support.streams import ListSink, comparable, finals

RECORDING = Path(str(files("emostream.demo") / "recording.ogg"))
REQUEST_TASKS = ("analysis", "interim result", "incremental transcription")
TIMEOUT_S = 120  # for a loaded machine; nothing here measures time


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """It and Whisper take two calls at once, as for `emostream replay` on two cores."""
    return load_recognizer(device="cpu", concurrent_calls=2)


@pytest.fixture(scope="module", params=["none", "pocketsphinx", "base"])
def transcriber(request: pytest.FixtureRequest) -> Transcriber | None:
    return whisper_base() if request.param == "base" else load_transcriber(request.param)


def whisper_base() -> Transcriber | None:
    """Real weights from this machine; without them the test is skipped."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("emostream.models.transcription.factory.is_hub_reachable", lambda: False)
        try:
            return load_transcriber("base", device="cpu")
        except TranscriberError as error:
            pytest.skip(f"no Whisper base here: {error}")


async def events_of(
    engine: Engine, source: FileSource, settings: SessionSettings, clock: Clock
) -> list[messages.ServerEvent]:
    sink = ListSink()
    vad = partial(make_vad, Settings().vad)
    await Session(source, vad, engine, EventLog("test"), [sink], settings, clock).run()
    return sink.events


async def run_clock(clock: ManualClock) -> None:
    """Real time, on a machine whose models always finish before the next 100 ms arrive."""
    while True:
        await clock.wait_for_sleeper()
        while running := [task for task in asyncio.all_tasks() if task.get_name() in REQUEST_TASKS]:
            await asyncio.wait(running)
        clock.advance_to(clock.now() + 0.1)


async def live(recognizer: Recognizer, transcriber: Transcriber | None) -> list[messages.ServerEvent]:
    """With everything that is computed ahead of time, and often."""
    clock = ManualClock()
    engine = Engine(transcriber, recognizer, clock, speech_detector=load_speech_detector())
    settings = SessionSettings.paced(
        Settings().segmenter, LiveSettings(interim_interval_ms=500, interim_words_interval_ms=500)
    )
    async with engine.running(), asyncio.timeout(TIMEOUT_S):
        ticking = asyncio.create_task(run_clock(clock))
        try:
            return await events_of(engine, FileSource(RECORDING, pace=clock), settings, clock)
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)


async def replayed(recognizer: Recognizer, transcriber: Transcriber | None) -> list[messages.ServerEvent]:
    detector = load_speech_detector()
    engine = Engine(transcriber, recognizer, WallClock(), speech_detector=detector, recordings=True)
    async with engine.running(), asyncio.timeout(TIMEOUT_S):
        settings = SessionSettings(Settings().segmenter)
        return await events_of(engine, FileSource(RECORDING), settings, WallClock())


async def test_live_equals_replay(
    recognizer: Recognizer, transcriber: Transcriber | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial_clips: list[Clip] = []
    if isinstance(transcriber, IncrementalTranscriber):
        transcribe_partial = transcriber.transcribe_partial

        def recording(clip: Clip) -> None:
            partial_clips.append(clip)
            transcribe_partial(clip)

        monkeypatch.setattr(transcriber, "transcribe_partial", recording)
    events = await live(recognizer, transcriber)
    assert len(partial_clips) > 30 or not isinstance(transcriber, IncrementalTranscriber)
    reference = finals(await replayed(recognizer, transcriber))
    live_finals = finals(events)
    assert len(reference) >= 4

    # It was live: every analysis started before the end was decided, and there were interim results.
    assert all(one.timing.lead_ms > 0 for one in live_finals)
    assert all(one.timing.lead_ms == 0 for one in reference)
    interim = [event for event in events if isinstance(event, messages.Emotion) and not event.final]
    assert len({event.utterance for event in interim}) >= 4
    words_expected = transcriber is not None and not isinstance(transcriber, IncrementalTranscriber)
    assert any(event.text for event in interim) == words_expected
    if words_expected:
        check_interim_words(interim, live_finals)

    assert [one.reason for one in live_finals] == [one.reason for one in reference]
    for one, other in zip(live_finals, reference, strict=True):
        assert (one.utterance, one.start_ms, one.end_ms) == (other.utterance, other.start_ms, other.end_ms)
        assert (one.label, one.text, one.uncertain) == (other.label, other.text, other.uncertain)
        assert one.words == other.words
        assert one.baseline_utterances == other.baseline_utterances
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
        assert one.audio_only == pytest.approx(other.audio_only, abs=1e-3)
        if other.text_only is None:
            assert one.text_only is None
        else:
            assert one.text_only == pytest.approx(other.text_only, abs=1e-3)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-3)


def check_interim_words(interim: Sequence[messages.Emotion], finals: Sequence[messages.Emotion]) -> None:
    """The stable part only grows, and before each final its last word has been shown."""
    for final in finals:
        shown = [event for event in interim if event.utterance == final.utterance and event.text]
        stable = [event.text[: event.stable_chars] for event in shown]
        assert all(after.startswith(before) for before, after in pairwise(stable))
        if final.reason == "silence" and final.text:
            assert final.text.split()[-1] in shown[-1].text.split()


async def test_live_equals_replay_bit_for_bit_with_a_baseline_of_the_speaker() -> None:
    """The model's arithmetic is that of single clips in both, so that nothing may differ."""
    live_recognizer, replay_recognizer = AdaptiveRecognizer(), AdaptiveRecognizer()
    events = await live(live_recognizer, FakeTranscriber())
    reference = await replayed(replay_recognizer, FakeTranscriber())
    assert comparable(events) == comparable(reference)
    counts = [event.baseline_utterances for event in finals(events)]
    assert counts == list(range(len(counts)))
    assert len(counts) >= 4
    assert len(live_recognizer.seen) > len(replay_recognizer.seen)  # candidates and interim results
