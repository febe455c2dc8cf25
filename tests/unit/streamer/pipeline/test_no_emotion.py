"""Utterances without speech: what a session and an engine make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from emostream.models import Clip, SpeechPresence
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.request import Priority
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.protocol import messages
from tests.support.fakes import (
    FakeRecognizer,
    FakeSpeechDetector,
    FakeTranscriber,
    LoudnessVad,
    silence,
    voice,
)
from tests.support.streams import ListSink, ListSource, comparable, finals, kinds

QUIET = 0.01


class BrokenDetector:
    def detect(self, clips: Sequence[Clip]) -> list[SpeechPresence]:
        raise RuntimeError("the graph is gone")


SPEECH_NOISE_SPEECH = np.concatenate(
    [
        silence(500),
        voice(1_000),
        silence(900),
        voice(600, seed=1, level=QUIET),
        silence(900),
        voice(700, seed=2),
        silence(700),
    ]
)


async def run(
    engine: Engine, *, speculate: bool = False, interim_interval_ms: int = 0, block: int = 1_600
) -> list[messages.ServerEvent]:
    samples = SPEECH_NOISE_SPEECH[:, np.newaxis]
    source = ListSource([Pcm(samples[start : start + block]) for start in range(0, len(samples), block)])
    settings = SessionSettings(
        SegmenterSettings(), speculate=speculate, interim_interval_ms=interim_interval_ms
    )
    sink = ListSink()
    session = Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock())
    async with engine.running():
        await session.run()
    return sink.events


async def test_a_sound_without_speech_gets_no_emotion_and_the_reason() -> None:
    transcriber, recognizer = FakeTranscriber(), FakeRecognizer()
    engine = Engine(transcriber, recognizer, WallClock(), speech_detector=FakeSpeechDetector())
    seen = await run(engine)
    assert [event.utterance for event in finals(seen)] == [1, 3]
    (without,) = [event for event in seen if isinstance(event, messages.NoEmotion)]
    assert (without.utterance, without.start_ms, without.end_ms) == (2, 2_400, 3_000)
    assert (without.reason, without.speech) == ("no_speech", 0.25)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.totals.utterances == 2


async def test_nothing_is_transcribed_or_encoded_without_speech() -> None:
    transcriber, recognizer = FakeTranscriber(), FakeRecognizer()
    engine = Engine(transcriber, recognizer, WallClock(), speech_detector=FakeSpeechDetector())
    await run(engine)
    assert sum(transcriber.batches) == sum(recognizer.batches) == 2


async def test_the_order_of_speech_is_kept() -> None:
    engine = Engine(None, FakeRecognizer(), WallClock(), speech_detector=FakeSpeechDetector())
    seen = await run(engine)
    results = [event.utterance for event in seen if isinstance(event, messages.Emotion | messages.NoEmotion)]
    assert results == [1, 2, 3]


async def test_ahead_of_time_the_results_are_the_same() -> None:
    """The detector gets the candidate's clip, and is not asked again for the final."""
    plain, ahead = FakeSpeechDetector(), FakeSpeechDetector()
    reference = await run(Engine(None, FakeRecognizer(), WallClock(), speech_detector=plain))
    engine = Engine(None, FakeRecognizer(), WallClock(), speech_detector=ahead)
    seen = await run(engine, speculate=True)
    assert plain.clips == ahead.clips
    for kind in ("Emotion", "NoEmotion"):
        assert kinds(seen).count(kind) == kinds(reference).count(kind)
    assert comparable(seen) == comparable(reference)


async def test_an_utterance_without_speech_so_far_has_no_interim_result() -> None:
    engine = Engine(None, FakeRecognizer(), WallClock(), speech_detector=FakeSpeechDetector())
    seen = await run(engine, interim_interval_ms=500)
    interim = {event.utterance for event in seen if isinstance(event, messages.Emotion) and not event.final}
    assert 2 not in interim


async def test_without_a_detector_every_utterance_is_speech() -> None:
    seen = await run(Engine(None, FakeRecognizer(), WallClock()))
    assert [event.utterance for event in finals(seen)] == [1, 2, 3]


async def test_a_detector_that_fails_is_an_error_of_the_utterance() -> None:
    seen = await run(Engine(None, FakeRecognizer(), WallClock(), speech_detector=BrokenDetector()))
    errors = [event for event in seen if isinstance(event, messages.Error)]
    assert [(event.code, event.utterance) for event in errors] == [("analysis_failed", n) for n in (1, 2, 3)]
    assert "the speech detector failed: the graph is gone" in errors[0].message


async def test_the_warm_up_runs_all_models_whatever_its_clip_holds() -> None:
    transcriber, recognizer = FakeTranscriber(), FakeRecognizer()
    engine = Engine(transcriber, recognizer, WallClock(), speech_detector=FakeSpeechDetector())
    async with engine.running():
        assert await engine.warm_up(Clip(voice(1_000, level=QUIET))) > 0
    assert (transcriber.batches, recognizer.batches) == ([1], [1])


async def test_no_emotion_is_counted() -> None:
    engine = Engine(None, FakeRecognizer(), WallClock(), speech_detector=FakeSpeechDetector())
    await run(engine)
    assert b'emostream_no_emotion_total{reason="no_speech"} 1.0' in engine.metrics.text()


@pytest.mark.parametrize("priority", list(Priority))
async def test_the_analysis_says_what_was_found(priority: Priority) -> None:
    engine = Engine(None, FakeRecognizer(), WallClock(), speech_detector=FakeSpeechDetector())
    async with engine.running():
        loud = await engine.analyse(Clip(voice(1_000)), engine.new_request(priority))
        quiet = await engine.analyse(Clip(voice(1_000, level=QUIET)), engine.new_request(priority))
    assert loud.prediction is not None
    assert loud.speech == SpeechPresence(0.9)
    assert quiet.prediction is None
    assert quiet.speech == SpeechPresence(0.25, "no_speech")
