"""Emotions in LiveKit's own streams and agent sessions, without a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "livekit.agents", reason="livekit-agents is not installed: pip install 'emostream[livekit]'"
)

from livekit.agents import AgentSession, APIConnectionError, APIConnectOptions, Plugin, TurnHandlingOptions
from livekit.agents.stt import RecognizeStream, SpeakerContext, SpeechData, SpeechEvent, SpeechEventType

from emostream.integrations import LocalEngine
from emostream.integrations.livekit import STT, EmotionAgent, EmotionSTT, SpeakerEmotion
from emostream.integrations.livekit.plugin import EmostreamPlugin, register
from emostream.models import LABELS
from emostream.streamer.errors import ConfigError
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.livekit_fakes import PushedAudio, ScriptedLLM, ScriptedSTT, rtc_frames
from tests.support.local_engines import fake_local_engine, forbid_other_machines
from tests.support.serving import serving

SPEECH = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])
ONE_UTTERANCE = SPEECH[: 2_200 * 16]
ONCE = APIConnectOptions(max_retry=0)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_other_machines(monkeypatch)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with fake_local_engine() as made:
        yield made


async def events_of(stream: RecognizeStream, samples: Any = SPEECH, rate: int = 16_000) -> list[SpeechEvent]:
    async with asyncio.timeout(60), stream:
        for frame in rtc_frames(samples, rate):
            stream.push_frame(frame)
        stream.end_input()
        return [event async for event in stream]


def kinds(events: AsyncIterable[SpeechEvent] | list[SpeechEvent]) -> list[SpeechEventType]:
    assert isinstance(events, list)
    return [event.type for event in events if event.type != SpeechEventType.RECOGNITION_USAGE]


def transcripts(events: list[SpeechEvent]) -> list[Any]:
    return [event.alternatives[0] for event in events if event.type == SpeechEventType.FINAL_TRANSCRIPT]


def metadata_of(data: SpeechData) -> dict[str, Any]:
    assert data.metadata is not None
    found: dict[str, Any] = data.metadata["emostream"]
    return found


async def test_a_stream_gives_words_with_their_emotion(engine: LocalEngine) -> None:
    transcriber = STT(engine, language="en", interim_results=False)
    stream = transcriber.stream()
    events = await events_of(stream)
    assert kinds(events)[0] == SpeechEventType.START_OF_SPEECH
    assert kinds(events)[-1] == SpeechEventType.END_OF_SPEECH
    first, second = transcripts(events)
    assert first.text.endswith("milliseconds")
    assert first.language == "en"
    assert first.metadata["emostream"]["label"] in LABELS
    assert 0.2 < first.start_time < first.end_time < second.start_time
    assert 0 < first.words[0].start_time < first.end_time
    usage = [event.recognition_usage for event in events if event.recognition_usage is not None]
    assert sum(one.audio_duration for one in usage) == pytest.approx(second.end_time, abs=0.05)
    context = stream.context
    assert isinstance(context, SpeakerEmotion)
    assert isinstance(context, SpeakerContext)
    assert context.to_instructions().startswith(f"The user sounds {context.label} (probability ")


async def test_speech_that_overlaps_its_analysis_starts_and_ends_in_turn(engine: LocalEngine) -> None:
    events = kinds(await events_of(STT(engine, interim_results=False).stream()))
    bounds = [kind for kind in events if kind != SpeechEventType.FINAL_TRANSCRIPT]
    starts_and_ends = [SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH]
    assert bounds == starts_and_ends * (len(bounds) // 2)


async def test_stereo_at_48_khz(engine: LocalEngine) -> None:
    stereo = np.repeat(np.repeat(ONE_UTTERANCE, 3)[:, None], 2, axis=1)
    (data,) = transcripts(await events_of(STT(engine).stream(), stereo, 48_000))
    assert 0.2 < data.start_time < 0.5


async def test_a_flush_ends_the_utterance(engine: LocalEngine) -> None:
    stream = STT(engine).stream()
    async with asyncio.timeout(60), stream:
        for frame in rtc_frames(ONE_UTTERANCE[: 1_400 * 16]):
            stream.push_frame(frame)
        stream.flush()
        async for event in stream:
            if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                break
    assert event.alternatives[0].text


async def test_a_stream_that_is_closed_leaves_nothing_behind(engine: LocalEngine) -> None:
    stream = STT(engine).stream()
    for frame in rtc_frames(ONE_UTTERANCE):
        stream.push_frame(frame)
    assert (await anext(stream)).type == SpeechEventType.START_OF_SPEECH
    await stream.aclose()
    await asyncio.to_thread(engine.close)  # no session holds it


async def test_speech_is_recognized_at_once(engine: LocalEngine) -> None:
    event = await STT(engine).recognize(rtc_frames(SPEECH))
    data = event.alternatives[0]
    assert event.type == SpeechEventType.FINAL_TRANSCRIPT
    assert len(metadata_of(data)["utterances"]) == 2
    assert len(data.text.split()) == 4


async def test_a_server_gives_the_same(engine: LocalEngine) -> None:
    own = transcripts(await events_of(STT(engine).stream()))
    async with serving(transcriber=FakeTranscriber()) as server:
        far = transcripts(await events_of(STT(f"ws://127.0.0.1:{server.port}").stream()))
    assert [(one.text, round(one.start_time, 2), one.metadata) for one in far] == [
        (one.text, round(one.start_time, 2), one.metadata) for one in own
    ]


async def test_without_a_server_the_frameworks_own_error_is_raised() -> None:
    with pytest.raises(APIConnectionError, match=r"expected an emostream server at ws://127\.0\.0\.1:9"):
        await events_of(STT("ws://127.0.0.1:9").stream(conn_options=ONCE))


@pytest.mark.parametrize("timed", [True, False])
async def test_another_transcriber_is_kept_and_gets_the_emotion(engine: LocalEngine, timed: bool) -> None:
    wrapped = ScriptedSTT(timed=timed)
    stream = EmotionSTT(wrapped, engine, wait_s=10).stream()
    (data,) = transcripts(await events_of(stream, ONE_UTTERANCE))
    assert data.text == "words"
    assert data.metadata["provider"] == "scripted"
    assert data.metadata["emostream"]["label"] in LABELS
    assert wrapped.frames == len(rtc_frames(ONE_UTTERANCE))
    assert isinstance(stream.context, SpeakerEmotion)


async def test_another_transcriber_goes_on_without_emotions(caplog: pytest.LogCaptureFixture) -> None:
    stream = EmotionSTT(ScriptedSTT(), "ws://127.0.0.1:9", wait_s=10).stream(conn_options=ONCE)
    (data,) = transcripts(await events_of(stream, ONE_UTTERANCE))
    assert data.metadata == {"provider": "scripted"}
    assert "expected an emostream server at ws://127.0.0.1:9" in caplog.text


async def test_a_transcriber_without_streams_is_kept_too(engine: LocalEngine) -> None:
    transcriber = EmotionSTT(ScriptedSTT(streaming=False), engine, wait_s=10)
    assert not transcriber.capabilities.streaming
    data = (await transcriber.recognize(rtc_frames(SPEECH))).alternatives[0]
    assert data.text == "recognized at once"
    assert len(metadata_of(data)["utterances"]) == 2


def test_a_wait_out_of_range_is_rejected() -> None:
    with pytest.raises(ConfigError, match="expected wait_s of 0 to 10 seconds, got 11"):
        EmotionSTT(ScriptedSTT(), wait_s=11)


def test_the_plugin_is_registered() -> None:
    assert [type(one) for one in Plugin.registered_plugins].count(EmostreamPlugin) == 1
    thread = threading.Thread(target=register)  # a job's thread, where LiveKit takes none
    thread.start()
    thread.join()
    assert [type(one) for one in Plugin.registered_plugins].count(EmostreamPlugin) == 1


async def test_an_agents_language_model_reads_how_the_user_sounds(engine: LocalEngine) -> None:
    """A real session; text instead of a voice."""
    microphone, model = PushedAudio(), ScriptedLLM()
    session: AgentSession[None] = AgentSession(
        stt=STT(engine, language="en"),
        llm=model,
        turn_handling=TurnHandlingOptions(turn_detection="stt"),
        vad=None,
    )
    session.input.audio = microphone
    async with asyncio.timeout(60):
        await session.start(EmotionAgent(instructions="Be kind."), record=False)
        microphone.push(ONE_UTTERANCE)
        await model.asked.wait()
        await session.aclose()
    roles = [role for role, _ in model.contexts[0]]
    assert roles == ["system", "system", "user"]
    assert model.contexts[0][1][1].startswith("The user sounds ")
    assert model.contexts[0][2][1].endswith("milliseconds")
