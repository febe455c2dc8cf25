"""What a subscriber of a published stream is sent, and when."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection

from emostream.streamer.audio.peaks import PeakHistory
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.errors import BadStartError
from emostream.streamer.protocol import messages
from emostream.streamer.server.event_stream import ReadPosition
from emostream.streamer.server.published_stream import PublishedStream, serve_subscriber

TOTALS = messages.Totals(audio_ms=400, utterances=0, dropped_ms=0)


class FakeSocket:
    """Keeps what is sent to it; its peer sends nothing."""

    def __init__(self) -> None:
        self.sent: list[messages.ServerMessage] = []
        self._news = asyncio.Condition()

    async def send(self, text: str) -> None:
        async with self._news:
            self.sent.append(messages.decode_server_message(text))
            self._news.notify_all()

    async def recv(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async def until(self, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.sent) >= count)

    @property
    def waveform(self) -> list[tuple[int, int, int]]:
        """Position, step and number of steps of each piece."""
        found = [one for one in self.sent if isinstance(one, messages.Waveform)]
        return [(one.from_ms, one.step_ms, len(one.peaks)) for one in found]


def stream() -> PublishedStream:
    return PublishedStream("tape", "A tape", peaks=PeakHistory(1_000))


def grow(stream: PublishedStream, ms: int) -> None:
    assert stream.peaks is not None
    stream.peaks.add(Pcm(np.ones((ms, 1), np.float32)))


async def served(stream: PublishedStream, **first: Any) -> tuple[FakeSocket, asyncio.Task[None]]:
    socket = FakeSocket()

    def ready(position: ReadPosition) -> messages.Ready:
        models = messages.Models(vad="v", asr=None, emotion="e", device="cpu")
        limits = messages.Limits(message_bytes=1, max_unacked_ms=1)
        return messages.Ready(
            session=stream.event_log.session,
            resume_token=None,
            labels=("sad",),
            models=models,
            limits=limits,
            resumed=position.resumed,
        )

    subscribe = messages.Subscribe(stream="tape", **first)
    serving = serve_subscriber(cast(ServerConnection, socket), stream, subscribe, 10, ready)
    return socket, asyncio.create_task(serving)


async def test_the_waveform_comes_whole_and_then_as_it_grows() -> None:
    own = stream()
    grow(own, 250)
    socket, serving = await served(own, waveform_from_ms=0)
    await socket.until(2)
    assert socket.waveform == [(0, 20, 12)]
    for _ in range(5):
        grow(own, 20)
    await socket.until(3)
    assert socket.waveform[1:] == [(240, 20, 5)]
    grow(own, 30)
    assert own.peaks is not None
    own.peaks.end()
    own.event_log.end(messages.Closed(reason="end_of_stream", totals=TOTALS))
    await serving
    pieces = socket.waveform
    assert [a + 20 * n for a, _, n in pieces[:-1]] == [
        b for b, _, _ in pieces[1:]
    ]  # none twice, none left out
    assert pieces[-1][0] + 20 * pieces[-1][2] == 380
    assert sum(isinstance(one, messages.Closed) for one in socket.sent) == 1


async def test_a_subscriber_that_does_not_ask_gets_none() -> None:
    own = stream()
    grow(own, 400)
    socket, serving = await served(own)
    own.event_log.end(messages.Closed(reason="end_of_stream", totals=TOTALS))
    await serving
    assert [type(one).__name__ for one in socket.sent] == ["Ready", "Closed"]


@pytest.mark.parametrize(("same", "begins"), [(True, 300), (False, 0)])
async def test_a_resumed_subscriber_gets_what_followed_and_of_another_session_all(
    same: bool, begins: int
) -> None:
    own = stream()
    grow(own, 400)
    session = own.event_log.session if same else "another"
    socket, serving = await served(
        own, resume=messages.Resume(session=session, last_seq=0), waveform_from_ms=300
    )
    await socket.until(2)
    assert socket.waveform[0][0] == begins
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_stream_that_fails_sends_what_it_has_of_its_waveform() -> None:
    """Its session was cut short: the last event comes before the end of the waveform."""
    own = stream()
    socket, serving = await served(own, waveform_from_ms=0)
    await socket.until(1)
    grow(own, 60)  # less than is waited for
    own.event_log.end(messages.Closed(reason="error", totals=TOTALS))
    await serving
    assert socket.waveform == [(0, 20, 3)]


async def test_a_negative_position_is_refused() -> None:
    _, serving = await served(stream(), waveform_from_ms=-1)
    with pytest.raises(
        BadStartError, match="expected waveform_from_ms of 0 or more, got -1; send the position"
    ):
        await serving
