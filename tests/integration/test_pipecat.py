"""Emotions in real Pipecat pipelines, run by Pipecat's own runner."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pipecat", reason="pipecat-ai is not installed: pip install 'emostream[pipecat]'")

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    STTMuteFrame,
    STTUpdateSettingsFrame,
    TranscriptionFrame,
    UserAudioRawFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.services.settings import STTSettings

from emostream.integrations import LocalEngine, ServerEngine
from emostream.integrations.pipecat import (
    EmostreamSTTService,
    EmotionContextProcessor,
    EmotionFrame,
    EmotionProcessor,
)
from emostream.integrations.turn_emotions import Stretch
from emostream.models import LABELS
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.client import Retry
from emostream.streamer.errors import ConfigError
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.local_engines import Loads, fake_local_engine, forbid_other_machines
from tests.support.pipelines import Recorder, audio_frames, running
from tests.support.serving import serving
from tests.support.shared import REPO
from tests.support.waiting import until

SPEECH = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])
ONE_UTTERANCE = SPEECH[: 2_200 * 16]


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_other_machines(monkeypatch)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with fake_local_engine() as made:
        yield made


def transcription(text: str = "hello") -> TranscriptionFrame:
    return TranscriptionFrame(text, "", "2026-01-01T00:00:00Z")


async def speech_has_begun(processor: EmotionProcessor) -> None:
    """In the engine; no frame tells."""
    listener = processor._listener
    await until(lambda: listener.turns.incomplete(Stretch(0, listener.position_ms)))


async def run_to_the_end(processor: Any, frames: list[Frame]) -> Recorder:
    """What comes behind the processor, of these frames and an EndFrame."""
    recorder = Recorder()
    async with running([processor, recorder]) as worker:
        for frame in [*frames, EndFrame()]:
            await worker.queue_frame(frame)
    return recorder


async def test_every_frame_passes_and_an_emotion_comes_for_each_utterance(engine: LocalEngine) -> None:
    sent = audio_frames(SPEECH)
    recorder = await run_to_the_end(EmotionProcessor(engine), [*sent])
    assert recorder.of(InputAudioRawFrame) == sent
    emotions = recorder.of(EmotionFrame)
    assert [(one.start_ms // 100, one.final) for one in emotions] == [(3, True), (22, True)]
    assert all(
        one.label in LABELS and sum(one.probabilities.values()) == pytest.approx(1) for one in emotions
    )
    # The last utterance is in progress when the EndFrame comes: it still gets its emotion, before the end.
    assert recorder.frames.index(emotions[-1]) < recorder.frames.index(recorder.of(EndFrame)[0])
    messages = [frame.data for frame in recorder.of(RTVIServerMessageFrame)]
    assert [message["type"] for message in messages] == ["emostream"] * 2
    assert messages[0]["label"] == emotions[0].label


async def test_browsers_are_told_nothing_where_it_is_turned_off(engine: LocalEngine) -> None:
    recorder = await run_to_the_end(EmotionProcessor(engine, rtvi=False), [*audio_frames(SPEECH)])
    assert len(recorder.of(EmotionFrame)) == 2
    assert recorder.of(RTVIServerMessageFrame) == []


async def test_stereo_at_another_rate_and_the_speakers_id(engine: LocalEngine) -> None:
    frames = [
        UserAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels, user_id="ada")
        for frame in audio_frames(np.repeat(np.repeat(ONE_UTTERANCE, 3)[:, None], 2, axis=1), 48_000)
    ]
    (emotion,) = (await run_to_the_end(EmotionProcessor(engine), [*frames])).of(EmotionFrame)
    assert emotion.user_id == "ada"
    assert emotion.start_ms // 100 == 3


async def test_interim_results_are_frames_where_they_are_asked_for() -> None:
    with fake_local_engine() as engine:
        recorder = Recorder()
        async with running([EmotionProcessor(engine, interim_results=True), recorder]) as worker:
            for frame in audio_frames(np.concatenate([silence(300), voice(4_000)])):
                await worker.queue_frame(frame)
                await asyncio.sleep(0.02 if len(recorder.of(EmotionFrame)) == 0 else 0)
            await worker.queue_frame(EndFrame())
    finals = [frame.final for frame in recorder.of(EmotionFrame)]
    assert finals[-1] is True
    assert False in finals


async def test_a_transcription_carries_the_emotion_that_is_known(engine: LocalEngine) -> None:
    recorder = Recorder()
    words = transcription()
    async with running([EmotionProcessor(engine), recorder]) as worker:
        for frame in audio_frames(ONE_UTTERANCE):
            await worker.queue_frame(frame)
        await recorder.until(lambda seen: seen.of(EmotionFrame))
        await worker.queue_frame(words)
        await worker.queue_frame(EndFrame())
    (emotion,) = recorder.of(EmotionFrame)
    found = words.metadata["emostream"]
    assert (found["label"], found["confidence"]) == (emotion.label, emotion.confidence)
    assert [one["start_ms"] for one in found["utterances"]] == [emotion.start_ms]


async def test_a_transcription_is_held_until_its_emotion_is_there(engine: LocalEngine) -> None:
    recorder = Recorder()
    words = transcription()
    processor = EmotionProcessor(engine, wait_s=10, flush_on_vad_stop=True)
    async with running([processor, recorder]) as worker:
        for frame in audio_frames(ONE_UTTERANCE[: 1_400 * 16]):  # within the pause, before its end is decided
            await worker.queue_frame(frame)
        await worker.queue_frame(VADUserStartedSpeakingFrame(start_secs=1.0))
        await speech_has_begun(processor)
        await worker.queue_frame(VADUserStoppedSpeakingFrame(stop_secs=0.1))
        await recorder.until(lambda seen: seen.of(VADUserStoppedSpeakingFrame))
        await worker.queue_frame(words)
        await recorder.until(lambda seen: seen.of(TranscriptionFrame))
        await worker.queue_frame(EndFrame())
    (emotion,) = recorder.of(EmotionFrame)
    assert emotion.event.reason == "flush"  # the pipeline's VAD has ended it
    assert words.metadata["emostream"]["utterances"][0]["start_ms"] == emotion.start_ms


async def test_a_held_transcription_survives_an_interruption_and_keeps_its_order(engine: LocalEngine) -> None:
    recorder = Recorder()
    first, interim, second = (
        transcription("one"),
        InterimTranscriptionFrame("tw", "", ""),
        transcription("two"),
    )
    processor = EmotionProcessor(engine, wait_s=10)
    async with running([processor, recorder]) as worker:
        for frame in audio_frames(ONE_UTTERANCE[: 1_400 * 16]):
            await worker.queue_frame(frame)
        await speech_has_begun(processor)
        for transcribed in (first, interim, second):
            await worker.queue_frame(transcribed)
        await worker.queue_frame(InterruptionFrame())
        await recorder.until(lambda seen: seen.of(InterruptionFrame))
        held = not recorder.of(TranscriptionFrame)
        for frame in audio_frames(ONE_UTTERANCE[1_400 * 16 :]):
            await worker.queue_frame(frame)
        await recorder.until(lambda seen: len(seen.of(TranscriptionFrame)) == 2)
        await worker.queue_frame(EndFrame())
    words = [frame for frame in recorder.frames if frame in (first, interim, second)]
    assert words == [first, interim, second]
    assert held
    assert "emostream" in first.metadata


async def test_the_wait_is_bounded(engine: LocalEngine) -> None:
    recorder = Recorder()
    words = transcription()
    processor = EmotionProcessor(engine, wait_s=0.05)
    async with running([processor, recorder]) as worker:
        for frame in audio_frames(ONE_UTTERANCE[: 1_300 * 16]):
            await worker.queue_frame(frame)
        await speech_has_begun(processor)
        await worker.queue_frame(words)
        await recorder.until(lambda seen: seen.of(TranscriptionFrame))
        await worker.queue_frame(EndFrame())
    assert "emostream" not in words.metadata


@pytest.mark.parametrize("wait_s", [-1, 11, float("nan")])
def test_a_wait_out_of_range_is_rejected(wait_s: float) -> None:
    with pytest.raises(ConfigError, match="expected wait_s of 0 to 10 seconds, got"):
        EmotionProcessor(wait_s=wait_s)


@pytest.mark.parametrize("kind", [EmotionProcessor, EmostreamSTTService])
async def test_a_cancelled_pipeline_drops_what_is_in_progress(kind: Any, engine: LocalEngine) -> None:
    recorder = Recorder()
    async with running([kind(engine), recorder]) as worker:
        for frame in audio_frames(np.concatenate([silence(300), voice(5_000)])):
            await worker.queue_frame(frame)
        await recorder.until(lambda seen: len(seen.of(InputAudioRawFrame)) == 265)
        await worker.cancel()
    assert recorder.of(EmotionFrame) == []


async def test_four_pipelines_share_one_engine() -> None:
    load = Loads()
    with fake_local_engine(load) as engine:
        recorders = await asyncio.gather(
            *(run_to_the_end(EmotionProcessor(engine), [*audio_frames(SPEECH)]) for _ in range(4))
        )
    assert [len(recorder.of(EmotionFrame)) for recorder in recorders] == [2] * 4
    assert load.count == 1


async def test_the_transcriber_gives_words_with_their_emotion(engine: LocalEngine) -> None:
    service = EmostreamSTTService(engine, language="en", ttfs_p99_latency=1.0)
    recorder = await run_to_the_end(service, [*audio_frames(SPEECH)])
    words = recorder.of(TranscriptionFrame)
    assert len(words) == 2
    assert all(frame.text.endswith("milliseconds") and frame.finalized for frame in words)
    assert [frame.metadata["emostream"]["label"] for frame in words] == [
        frame.label for frame in recorder.of(EmotionFrame)
    ]
    assert str(words[0].language) == "en"
    assert words[0].result is not None
    assert words[0].result.words[0].text == words[0].text.split()[0]
    assert len(recorder.of(InputAudioRawFrame)) == len(audio_frames(SPEECH))


async def test_the_pipelines_vad_ends_an_utterance_of_the_transcriber(engine: LocalEngine) -> None:
    recorder = Recorder()
    service = EmostreamSTTService(engine, flush_on_vad_stop=True, ttfs_p99_latency=1.0)
    async with running([service, recorder]) as worker:
        for frame in audio_frames(ONE_UTTERANCE[: 1_400 * 16]):  # our own VAD has not ended it yet
            await worker.queue_frame(frame)
        await recorder.until(lambda seen: len(seen.of(InputAudioRawFrame)) == 70)
        await worker.queue_frame(VADUserStoppedSpeakingFrame(stop_secs=0.1))
        await recorder.until(lambda seen: seen.of(TranscriptionFrame))
        await worker.queue_frame(EndFrame())
    result = recorder.of(TranscriptionFrame)[0].result
    assert result is not None
    assert result.reason == "flush"


async def test_a_muted_transcriber_hears_nothing_and_another_language_is_taken() -> None:
    with fake_local_engine() as engine:
        recorder = Recorder()
        service = EmostreamSTTService(engine, language="en", ttfs_p99_latency=1.0)
        async with running([service, recorder]) as worker:
            await worker.queue_frame(STTMuteFrame(mute=True))
            for frame in audio_frames(ONE_UTTERANCE):
                await worker.queue_frame(frame)
            await recorder.until(lambda seen: len(seen.of(InputAudioRawFrame)) == 110)
            await worker.queue_frame(STTMuteFrame(mute=False))
            await worker.queue_frame(STTUpdateSettingsFrame(delta=STTSettings(language="de")))
            await worker.queue_frame(transcription("behind it"))
            await recorder.until(lambda seen: seen.of(TranscriptionFrame))
            for frame in audio_frames(ONE_UTTERANCE):
                await worker.queue_frame(frame)
            await worker.queue_frame(EndFrame())
    assert [str(frame.language) for frame in recorder.of(TranscriptionFrame)] == ["None", "de"]


async def test_a_server_gives_the_same_emotions(engine: LocalEngine) -> None:
    own = await run_to_the_end(EmotionProcessor(engine), [*audio_frames(SPEECH)])
    async with serving(transcriber=FakeTranscriber()) as server:
        url = f"ws://127.0.0.1:{server.port}"
        recorder = await run_to_the_end(EmotionProcessor(url), [*audio_frames(SPEECH)])
    assert [
        (one.start_ms, one.end_ms, one.label, one.probabilities, one.text)
        for one in recorder.of(EmotionFrame)
    ] == [(one.start_ms, one.end_ms, one.label, one.probabilities, one.text) for one in own.of(EmotionFrame)]


async def test_without_a_server_the_pipeline_goes_on_and_an_error_says_why() -> None:
    start = Recorder()
    recorder = Recorder()
    engine = ServerEngine("ws://127.0.0.1:9", retry=Retry(attempts=0))
    async with running([start, EmotionProcessor(engine), recorder]) as worker:
        for frame in audio_frames(ONE_UTTERANCE):
            await worker.queue_frame(frame)
        await start.until(lambda seen: seen.upstream)
        await worker.queue_frame(EndFrame())
    errors = [frame.error for frame in start.upstream if isinstance(frame, ErrorFrame)]
    assert len(errors) == 1
    assert "expected an emostream server at ws://127.0.0.1:9" in errors[0]
    assert len(recorder.of(InputAudioRawFrame)) == 110


async def test_the_language_model_is_told_how_the_user_sounds(engine: LocalEngine) -> None:
    """In place of what it was told of the turn before, and only where the label is reliable."""
    context = LLMContext([{"role": "system", "content": "Be kind."}])
    recorder = Recorder()
    told: list[list[Any]] = []
    async with running([EmotionProcessor(engine), EmotionContextProcessor(), recorder]) as worker:
        for turn in range(2):
            await worker.queue_frame(UserStartedSpeakingFrame())
            for frame in audio_frames(ONE_UTTERANCE):
                await worker.queue_frame(frame)
            await recorder.until_there_are(turn + 1, EmotionFrame)
            context.add_message({"role": "user", "content": "hello"})
            await worker.queue_frame(LLMContextFrame(context))
            await recorder.until_there_are(turn + 1, LLMContextFrame)
            told.append([*context.get_messages()])
        await worker.queue_frame(UserStartedSpeakingFrame())
        await worker.queue_frame(LLMContextFrame(context))
        await worker.queue_frame(EndFrame())
    kept: list[Any] = [*context.get_messages()]
    label = recorder.of(EmotionFrame)[0].label
    assert [one["role"] for one in told[0]] == ["system", "system", "user"]
    assert told[0][1]["content"].startswith(f"The user sounds {label} (probability ")
    assert [one["role"] for one in told[1]] == ["system", "user", "system", "user"]
    assert [one["role"] for one in kept] == ["system", "user", "user"]


async def test_recorded_speech_through_the_bundled_model() -> None:
    with as_file(files("emostream.demo") / "recording.ogg") as file:
        speech = decode_file(file)[: 12 * 16_000]
    engine = LocalEngine(asr="none", checkpoint=REPO / "models" / "bundled")
    await engine.ready()
    try:
        recorder = await run_to_the_end(EmotionProcessor(engine, end_timeout_s=50), [*audio_frames(speech)])
    finally:
        await asyncio.to_thread(engine.close)
    emotions = recorder.of(EmotionFrame)
    assert len(emotions) >= 3
    assert all(0 <= one.start_ms < one.end_ms <= 12_000 for one in emotions)
