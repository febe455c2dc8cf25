"""The Wyoming server, driven by the client of the package `wyoming`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("wyoming", reason="expected wyoming, found none: pip install 'emostream[wyoming]'")

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from emostream.models import LABELS
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.clock import WallClock
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.protocol.messages import Emotion
from emostream.streamer.recognize import recognize
from emostream.streamer.server.listen import bind
from emostream.streamer.server.wyoming import WyomingServer, transcript_of
from tests.support.events import emotion_event
from tests.support.fakes import FakeRecognizer, FakeTranscriber, silence, voice

RATE_HZ = 16_000
TWO = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(100)])


class Bilingual(FakeTranscriber):
    languages = ("en", "de")


@asynccontextmanager
async def client_of(fails_on: Sequence[int] = ()) -> AsyncIterator[AsyncTcpClient]:
    settings = Settings(server=ServerSettings(port=0))
    engine = Engine(Bilingual(), FakeRecognizer(fails_on), WallClock())
    bound = bind(settings.server)
    port = bound.getsockname()[1]
    async with (
        engine.running(),
        WyomingServer(bound, engine, settings, WallClock()),
        AsyncTcpClient("127.0.0.1", port) as client,
    ):
        yield client


async def ask(client: AsyncTcpClient, samples: Samples, *, width: int = 2, channels: int = 1) -> Event:
    """The answer to one request."""
    scale = 2 ** (8 * width - 1) - 1
    pcm = np.repeat(np.round(samples * scale).astype(f"<i{width}")[:, None], channels, axis=1).tobytes()
    form = {"rate": RATE_HZ, "width": width, "channels": channels}
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(**form).event())
    size = 1_024 * width * channels
    for first in range(0, len(pcm), size):
        await client.write_event(AudioChunk(**form, audio=pcm[first : first + size]).event())
    await client.write_event(AudioStop().event())
    return await read(client)


async def read(client: AsyncTcpClient) -> Event:
    event = await asyncio.wait_for(client.read_event(), 60)
    assert event is not None
    return event


def emotion_of(event: Event) -> dict[str, Any]:
    transcript = Transcript.from_event(event)
    assert transcript.context is not None
    found: dict[str, Any] = transcript.context["emostream"]
    return found


async def test_a_request_is_answered_by_all_its_words_and_their_emotions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The utterances are those of `recognize` for the same samples."""
    async with client_of() as client:
        event = await ask(client, TWO)
    transcript = Transcript.from_event(event)
    found = emotion_of(event)["utterances"]
    models = FakeTranscriber(), FakeRecognizer()
    monkeypatch.setattr("emostream.streamer.recognize.load_models", lambda _: models)
    monkeypatch.setattr("emostream.streamer.recognize.load_speech_check", lambda _: None)
    wanted = await asyncio.to_thread(recognize, np.round(TWO * 32_767) / 32_768, RATE_HZ)
    assert len(found) == len(wanted) == 2
    for one, other in zip(found, wanted, strict=True):
        assert (one["start_ms"], one["end_ms"], one["label"]) == (other.start_ms, other.end_ms, other.label)
        assert (one["probabilities"], one["text"]) == (other.probabilities, other.text)
        assert one["probabilities"].keys() == set(LABELS)
    assert (transcript.text, transcript.language) == (" ".join(one.text for one in wanted), "en")
    assert emotion_of(event)["label"] == wanted[0].label  # of the longer one


@pytest.mark.parametrize(("width", "channels"), [(4, 1), (2, 2)])
async def test_the_format_of_the_audio_makes_no_difference(width: int, channels: int) -> None:
    async with client_of() as client:
        reference = emotion_of(await ask(client, TWO))
        assert emotion_of(await ask(client, TWO, width=width, channels=channels)) == reference


async def test_silence_has_no_words_and_no_emotion() -> None:
    async with client_of() as client:
        event = await ask(client, silence(1_000))
    assert Transcript.from_event(event).text == ""
    assert emotion_of(event) == {"label": None, "confidence": None, "utterances": []}


async def test_it_describes_itself_and_answers_a_ping() -> None:
    async with client_of() as client:
        await client.write_event(Describe().event())
        (program,) = Info.from_event(await read(client)).asr
        assert (program.name, [model.name for model in program.models]) == ("emostream", ["fake words"])
        assert program.models[0].languages == ["de", "en"]
        await client.write_event(Ping(text="there?").event())
        assert Pong.from_event(await read(client)).text == "there?"


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([AudioStop()], "expected audio-start before audio-stop"),
        ([AudioChunk(16_000, 2, 1, b"12")], "expected audio-start before audio-chunk"),
        ([AudioStart(16_000, 1, 1)], "expected audio of 2 or 4 bytes a sample"),
        ([AudioStart(4_000, 2, 1)], "expected a rate of 8000 to 96000 Hz, got 4000"),
        ([AudioStart(16_000, 2, 1), AudioChunk(8_000, 2, 1, b"12")], "expected chunks as audio-start"),
        ([AudioStart(16_000, 2, 1), AudioChunk(16_000, 2, 1, b"123")], "expected chunks of whole frames"),
        ([Event("audio-start", {})], "expected audio-start as Wyoming has it"),
    ],
)
async def test_what_cannot_be_used_is_answered_by_an_error_and_the_next_request_works(
    events: list[Any], message: str
) -> None:
    async with client_of() as client:
        for one in events:
            await client.write_event(one if isinstance(one, Event) else one.event())
        error = Error.from_event(await read(client))
        assert error.text.startswith(message)
        assert error.code == "bad_message"
        assert len(emotion_of(await ask(client, TWO))["utterances"]) == 2


async def test_a_failure_of_the_models_is_an_error_where_nothing_else_came() -> None:
    lengths = range(0, 3_000)
    async with client_of(fails_on=lengths) as client:
        error = Error.from_event(await ask(client, TWO))
    assert error.code == "internal"
    assert error.text


async def test_a_client_that_leaves_in_the_middle_of_a_request_leaves_nothing_behind() -> None:
    async with client_of() as client:
        await client.write_event(AudioStart(RATE_HZ, 2, 1).event())
        await client.write_event(AudioChunk(RATE_HZ, 2, 1, bytes(64_000)).event())
        await client.write_event(Ping().event())
        await read(client)  # by now the session runs
        (session,) = [task for task in asyncio.all_tasks() if task.get_name() == "wyoming session"]
        await client.disconnect()
        await asyncio.wait({session}, timeout=60)
        assert session.cancelled()


def test_the_emotion_of_a_request_is_that_of_the_longest_reliable_utterance() -> None:
    def final(utterance: int, label: str, ms: int, reliable: bool) -> Emotion:
        event = emotion_event(utterance, label)
        return msgspec.structs.replace(event, end_ms=event.start_ms + ms, reliable=reliable)

    short, longer, doubtful = (
        final(1, "sad", 800, True),
        final(2, "happy", 900, True),
        final(3, "angry", 950, False),
    )
    context = transcript_of([short, longer, doubtful]).context
    assert context is not None
    assert context["emostream"]["label"] == "happy"
    assert transcript_of([doubtful]).context == {
        "emostream": {
            "label": None,
            "confidence": None,
            "utterances": context["emostream"]["utterances"][2:],
        }
    }
