"""The baseline of a stream's speaker: causal, from finals alone, whatever is computed ahead of time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from emostream.models import LABELS, BaselineSettings, Clip, Prediction, SpeakerBaseline, SpeechPresence
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.backend import Analysis, ModelInfo
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.pending import PendingBaseline
from emostream.streamer.inference.request import Priority
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.running_baseline import RunningBaseline, SpeakerOptions
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.protocol import messages
from emostream.streamer.speakers.voice import baseline_of
from tests.support.fakes import AdaptiveRecognizer, FakeTranscriber, LoudnessVad, silence, voice
from tests.support.session_harness import GatedRecognizer, ShedsTheFirst, session_harness
from tests.support.streams import ListSink, ListSource, finals

SETTINGS = BaselineSettings(prior_count=1.0, neutral_weight=0.5)
LENGTHS_MS = (1_000, 600, 1_500, 900)
SPEECH = np.concatenate(
    [
        part
        for seed, length in enumerate(LENGTHS_MS)
        for part in (silence(900), voice(length, seed=seed, level=0.1 + 0.05 * seed))
    ]
)


class GatedAdaptiveRecognizer(GatedRecognizer, AdaptiveRecognizer):
    """Can be blocked, and takes baselines."""


def analysis(vector: list[float] | None, p_neutral: float = 0.25) -> Analysis:
    rest = (1 - p_neutral) / (len(LABELS) - 1)
    probabilities = tuple(p_neutral if label == "neutral" else rest for label in LABELS)
    prediction = Prediction("neutral", p_neutral, probabilities, probabilities, None)
    said = None if vector is None else np.array(vector, np.float32)
    return Analysis(None, (), prediction, None, 0.0, 0.0, 0.0, 0.0, voice=said)


async def run(
    recognizer: AdaptiveRecognizer, speaker: SpeakerOptions | None = None
) -> list[messages.ServerEvent]:
    engine, sink = Engine(FakeTranscriber(), recognizer, WallClock()), ListSink()
    settings = SessionSettings(SegmenterSettings(), speaker=speaker or SpeakerOptions())
    source = ListSource([Pcm(SPEECH[:, np.newaxis])])
    async with engine.running():
        await Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock()).run()
    return sink.events


# The state ------------------------------------------------------------------------------------------


async def test_an_utterance_counts_by_how_probably_it_is_neutral() -> None:
    baseline = RunningBaseline(SETTINGS, LABELS)
    for vector, p_neutral in (([1.0, 4.0], 1.0), ([3.0, 0.0], 0.5)):
        baseline.end_final(baseline.begin_final(), analysis(vector, p_neutral))
    state = await baseline.pending.wait()
    # Weights 1 and 0.5 + 0.5 * 0.5.
    assert (state.weight, state.utterances) == (1.75, 2)
    assert state.total is not None
    assert state.total.tolist() == [1.0 + 0.75 * 3.0, 4.0]


async def test_a_model_without_a_neutral_label_counts_every_utterance_fully() -> None:
    baseline = RunningBaseline(SETTINGS, ("calm", "angry", "sad", "happy"))
    baseline.end_final(baseline.begin_final(), analysis([1.0, 2.0]))
    assert baseline.state.weight == 1.0


NO_SPEECH = Analysis(None, (), None, None, 0.0, 0.0, 0.0, 0.0, SpeechPresence(0.1, "no_speech"))
DOUBTFUL = replace(analysis([5.0, 5.0]), speech=SpeechPresence(0.5, doubtful=True))


@pytest.mark.parametrize("lost", [None, analysis(None), NO_SPEECH, DOUBTFUL])
async def test_an_utterance_without_a_result_or_without_speech_changes_nothing(
    lost: Analysis | None,
) -> None:
    baseline = RunningBaseline(SETTINGS, LABELS)
    baseline.end_final(baseline.begin_final(), analysis([1.0, 2.0]))
    before = baseline.state
    baseline.end_final(baseline.begin_final(), lost)
    assert await baseline.pending.wait() is before


async def test_what_follows_a_final_waits_for_its_result() -> None:
    baseline = RunningBaseline(SETTINGS, LABELS)
    first = baseline.begin_final()
    assert baseline.pending is first
    waiting = [asyncio.create_task(baseline.pending.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    assert not waiting[1].done()
    baseline.end_final(first, analysis([1.0, 2.0]))
    assert (await waiting[1]).utterances == 1


async def test_a_fixed_baseline_stays_as_it_was_given() -> None:
    start = SpeakerBaseline().updated(np.array([2.0, 2.0], np.float32), 1.0, SETTINGS)
    baseline = RunningBaseline(SETTINGS, LABELS, SpeakerOptions(start=start, fixed=True))
    baseline.end_final(baseline.begin_final(), analysis([1.0, 2.0]))
    assert await baseline.pending.wait() is start


def test_no_baseline_where_the_model_takes_none_or_the_options_want_none() -> None:
    takes_none = ModelInfo(None, "model", "cpu", LABELS)
    assert RunningBaseline.of_stream(takes_none, SpeakerOptions()) is None
    assert (
        RunningBaseline.of_stream(replace(takes_none, baseline=SETTINGS), SpeakerOptions(adapt=False)) is None
    )
    assert RunningBaseline.of_stream(replace(takes_none, baseline=SETTINGS), SpeakerOptions()) is not None


# In a session ---------------------------------------------------------------------------------------


async def test_every_utterance_is_judged_against_the_finals_before_it() -> None:
    recognizer = AdaptiveRecognizer()
    said = finals(await run(recognizer))
    assert [count for _, count in recognizer.seen] == [0, 1, 2, 3]

    # Worked out by the formula of models/baseline.py, one utterance after the other.
    total, weight = np.zeros(2), 0.0
    segmented = Clip(SPEECH)
    for event, (length_ms, _) in zip(said, recognizer.seen, strict=True):
        start = (event.start_ms - 200) * 16
        clip = Clip(segmented.samples[start : start + length_ms * 16])
        spoken = AdaptiveRecognizer.voice(clip)
        seen = spoken - (total / (weight + 1.0)).astype(np.float32)
        odds = np.exp([*seen, *(-seen)])
        expected = odds / odds.sum()
        assert list(event.probabilities.values()) == pytest.approx(expected, abs=1e-5)
        share = 0.5 + 0.5 * float(expected[LABELS.index("neutral")])
        total, weight = total + share * spoken, weight + share


async def test_without_adaptation_every_utterance_is_judged_alone() -> None:
    recognizer = AdaptiveRecognizer()
    await run(recognizer, SpeakerOptions(adapt=False))
    assert [count for _, count in recognizer.seen] == [None] * 4


async def test_an_enrolled_speaker_is_known_from_the_first_utterance() -> None:
    start = SpeakerBaseline().updated(np.array([0.2, 1.0], np.float32), 1.0, SETTINGS)
    recognizer = AdaptiveRecognizer()
    await run(recognizer, SpeakerOptions(start=start))
    assert [count for _, count in recognizer.seen] == [1, 2, 3, 4]


async def test_a_failed_utterance_is_left_out_of_the_baseline() -> None:
    recognizer = AdaptiveRecognizer(fails_on=[1_000])  # the second one, with its margins
    assert len(finals(await run(recognizer))) == 3
    assert [count for _, count in recognizer.seen] == [0, 1, 2]


async def test_a_candidate_waits_for_the_final_before_it_and_is_encoded_meanwhile() -> None:
    recognizer = GatedAdaptiveRecognizer()
    async with session_harness(transcriber=True, recognizer=recognizer) as harness:
        assert harness.transcriber is not None
        harness.transcriber.hold()
        await harness.play("speech", 50)
        await harness.play("silence", 30)  # the first is a final, and waits for its words
        await harness.play("speech", 50)
        await harness.play("silence", 12)  # the second is a candidate
        await recognizer.gate.started((70, 140))
        assert recognizer.seen == []
        harness.transcriber.release()
        await harness.recorder.emotion(1)
        await harness.settle()
        await harness.play("silence", 20)
        await harness.recorder.emotion(2)
        assert recognizer.gate.clips == [(0, 60), (70, 140)]  # the candidates' analyses were used
        assert [count for _, count in recognizer.seen] == [0, 1]
        assert harness.outcomes()["used"] == 2
        await harness.end()


async def test_candidates_and_interim_results_read_the_baseline_and_never_change_it() -> None:
    recognizer = GatedAdaptiveRecognizer()
    async with session_harness(recognizer=recognizer, interim_interval_ms=500) as harness:
        for _ in range(3):
            await harness.play("speech", 60)
            await harness.play("silence", 12)  # a candidate, which is discarded
            await harness.play("speech", 40)
            await harness.play("silence", 40)
        assert harness.outcomes()["discarded"] == 3
        emotions = harness.recorder.emotions
        await harness.end()
    assert len(emotions) > 6
    counts = [count for _, count in recognizer.seen]
    assert counts == sorted(counts, key=lambda count: -1 if count is None else count)
    assert set(counts) == {0, 1, 2}


async def test_an_analysis_that_was_shed_is_repeated_against_the_same_baseline() -> None:
    recognizer = GatedAdaptiveRecognizer()
    async with session_harness(ShedsTheFirst, recognizer=recognizer) as harness:
        assert isinstance(harness.engine, ShedsTheFirst)
        harness.wait_for_models = False
        for _ in range(2):
            await harness.play("speech", 50)
            await harness.play("silence", 30)
        harness.engine.shed.set()
        await harness.recorder.emotion(2)
        first, second, repeated = harness.engine.baselines
        assert repeated is first is not second
        assert [count for _, count in recognizer.seen] == [0, 1]
        await harness.end()


async def test_an_engine_without_a_baseline_to_wait_for_judges_alone() -> None:
    recognizer = AdaptiveRecognizer()
    engine = Engine(None, recognizer, WallClock())
    async with engine.running():
        alone = await engine.analyse(Clip(voice(500)), engine.new_request(Priority.FINAL))
        known = PendingBaseline.known(SpeakerBaseline().updated(np.ones(2, np.float32), 1.0, SETTINGS))
        judged = await engine.analyse(Clip(voice(500)), engine.new_request(Priority.FINAL), baseline=known)
    assert (alone.baseline_utterances, judged.baseline_utterances) == (None, 1)
    assert alone.voice is not None
    assert judged.voice is not None
    assert alone.voice.tolist() == judged.voice.tolist()
    assert alone.prediction is not None
    assert judged.prediction is not None
    assert alone.prediction.probabilities != judged.prediction.probabilities


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_last_event_carries_the_voice_where_the_client_wants_it(wanted: bool) -> None:
    recognizer, sink = AdaptiveRecognizer(), ListSink()
    engine = Engine(FakeTranscriber(), recognizer, WallClock(), voice_probe=(1.0, 2.0))
    settings = SessionSettings(SegmenterSettings(), return_speaker=wanted)
    source = ListSource([Pcm(SPEECH[:, np.newaxis])])
    session = Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock())
    async with engine.running():
        await session.run()
    closed = sink.events[-1]
    assert isinstance(closed, messages.Closed)
    if not wanted:
        assert closed.speaker is None
        return
    assert closed.speaker is not None
    learned = baseline_of(closed.speaker, engine.model_info)
    (speaker,) = session.speakers
    assert speaker is not None
    assert (learned.weight, learned.utterances) == (speaker.weight, 4)
