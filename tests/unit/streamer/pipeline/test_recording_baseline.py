"""Whole-recording centring: the second pass judges every utterance against all of the recording."""

from __future__ import annotations

import numpy as np

from emostream.models import LABELS, SpeakerBaseline
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.recording_baseline import first_pass, second_pass_settings
from emostream.streamer.pipeline.running_baseline import SpeakerOptions
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.protocol import messages
from tests.support.fakes import (
    AdaptiveRecognizer,
    FakeRecognizer,
    FakeTranscriber,
    LoudnessVad,
    silence,
    voice,
)
from tests.support.streams import ListSink, ListSource, finals

SPEECH = np.concatenate(
    [
        part
        for seed, length in enumerate((1_000, 600, 1_500))
        for part in (silence(900), voice(length, seed=seed, level=0.1 + 0.1 * seed))
    ]
)
SETTINGS = SessionSettings(SegmenterSettings(), speculate=True, interim_interval_ms=500)


async def both_passes(
    recognizer: FakeRecognizer, transcriber: FakeTranscriber, settings: SessionSettings = SETTINGS
) -> tuple[SpeakerBaseline | None, list[messages.Emotion]]:
    engine, clock, sink = Engine(transcriber, recognizer, WallClock()), WallClock(), ListSink()

    def source() -> ListSource:
        return ListSource([Pcm(SPEECH[:, np.newaxis])])

    async with engine.running():
        first = first_pass(source(), LoudnessVad, engine, settings, clock)
        await first.run()
        second = second_pass_settings(settings, first.speakers)
        await Session(source(), LoudnessVad, engine, EventLog("test"), [sink], second, clock).run()
    (speaker,) = first.speakers
    return speaker, finals(sink.events)


async def test_every_utterance_is_judged_against_all_of_them() -> None:
    recognizer, transcriber = AdaptiveRecognizer(), FakeTranscriber()
    baseline, events = await both_passes(recognizer, transcriber)
    assert baseline is not None
    assert baseline.utterances == 3
    assert [event.baseline_utterances for event in events] == [3, 3, 3]
    assert sum(transcriber.batches) == 3  # the first pass needs no words
    mean = baseline.voice(AdaptiveRecognizer.baseline)
    assert mean is not None
    for event in events:
        shown = np.array([event.probabilities[label] for label in LABELS])
        # The odds are exp(x) and exp(-x) for both parts of x: their logarithms give x, up to a constant.
        seen = (np.log(shown)[:2] - np.log(shown)[2:]) / 2
        seconds = (event.end_ms - event.start_ms) / 1_000 + 0.2 + (0.2 if event.reason == "silence" else 0.0)
        assert abs(float(seen[1]) - (seconds - float(mean[1]))) < 1e-4


async def test_what_is_known_of_the_speaker_counts_too() -> None:
    known = SpeakerBaseline().updated(np.array([0.2, 1.0], np.float32), 1.0, AdaptiveRecognizer.baseline)
    settings = SessionSettings(SegmenterSettings(), speaker=SpeakerOptions(start=known))
    _, events = await both_passes(AdaptiveRecognizer(), FakeTranscriber(), settings)
    assert [event.baseline_utterances for event in events] == [4, 4, 4]


async def test_a_model_without_a_baseline_judges_alone() -> None:
    baseline, events = await both_passes(FakeRecognizer(), FakeTranscriber())
    assert baseline is None
    assert [event.baseline_utterances for event in events] == [None] * 3
