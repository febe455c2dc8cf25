"""A voice over the wire: learned in one session, known from the first utterance of the next."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client import ConnectionLost, Reconnected, connect
from emostream.streamer.errors import ConnectError
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from tests.support.fakes import AdaptiveRecognizer
from tests.support.serving import SPEECH, serving, socket_url
from tests.support.streams import finals

START = messages.Start(encoding="pcm_f32le", sample_rate=16_000, channels=1)


async def events_of(server: Server, start: messages.Start) -> list[messages.ServerEvent]:
    async def audio() -> AsyncIterator[bytes]:
        yield encode_pcm(SPEECH, "pcm_f32le")

    async with connect(socket_url(server), start) as client:
        return [
            event
            async for event in client.recognize(audio())
            if not isinstance(event, ConnectionLost | Reconnected)
        ]


def closed(events: list[messages.ServerEvent]) -> messages.Closed:
    last = events[-1]
    assert isinstance(last, messages.Closed)
    return last


def behind(events: list[messages.ServerEvent]) -> list[int | None]:
    return [event.baseline_utterances for event in finals(events)]


async def test_a_learned_voice_is_known_in_the_next_session() -> None:
    async with serving(recognizer=AdaptiveRecognizer()) as server:
        learning = msgspec.structs.replace(START, options=messages.Options(return_speaker=True))
        first = await events_of(server, learning)
        voice = closed(first).speaker
        assert behind(first) == [0, 1]
        assert voice is not None
        assert voice.utterances == 2
        second = await events_of(server, msgspec.structs.replace(START, speaker=voice))
        assert behind(second) == [2, 3]
        assert closed(second).speaker is None  # it was not requested
        third = await events_of(server, START)
        assert behind(third) == [0, 1]  # the server has kept nothing
        assert finals(second)[0].probabilities != finals(third)[0].probabilities


async def test_adaptation_can_be_turned_off_for_a_session() -> None:
    async with serving(recognizer=AdaptiveRecognizer()) as server:
        options = messages.Options(adapt="off", return_speaker=True)
        events = await events_of(server, msgspec.structs.replace(START, options=options))
    assert behind(events) == [None, None]
    assert closed(events).speaker is None


@pytest.mark.parametrize(
    ("probe", "message"),
    [(np.array([9.0, 9.0], "<f4"), "got one of another"), (np.array([], "<f4"), "got one of another")],
)
async def test_a_voice_of_another_model_is_refused(probe: np.ndarray, message: str) -> None:
    voice = messages.EnrolledVoice(
        total=np.array([1.0, 2.0]).tobytes(), weight=1.0, utterances=1, probe=probe.tobytes()
    )
    async with serving(recognizer=AdaptiveRecognizer()) as server:
        with pytest.raises(ConnectError, match=message):
            await events_of(server, msgspec.structs.replace(START, speaker=voice))
