"""Ten minutes at full speed to models that are slower than real time, over a real socket.

Time passes only while the sender waits for an ack and a model computes, one second with every pong: a sender
faster than any machine, and a server that answers while all its queues are full.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from emostream.models import Clip, EncodedAudio
from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.listen import bind
from tests.support.fakes import FakeRecognizer, FakeTranscriber, ManualClock, silence, voice
from tests.support.serving import errors, started
from tests.support.streams import finals

TIMEOUT_S = 60  # for a loaded machine; nothing here measures time
TEN_MINUTES_MS = 600_000
SLOWNESS = 2.0  # seconds that the model takes for a second of audio
BLOCK_MS = 100
UNACKED_MS = 5_000


def speech() -> tuple[Samples, list[tuple[int, int]]]:
    """Ten minutes, and where its utterances start and end (ms): 0.4 to 5 s long, 0.7 to 1.5 s apart."""
    rng = np.random.default_rng(0)
    parts, spans, position = [], [], 0
    while True:
        gap, length = (int(20 * rng.integers(*range_)) for range_ in ((35, 75), (20, 250)))
        if position + gap + length + 700 > TEN_MINUTES_MS:
            break
        start = position + gap
        spans.append((start, start + length))
        parts += [silence(gap), voice(length, seed=len(spans))]
        position = start + length
    return np.concatenate([*parts, silence(TEN_MINUTES_MS - position)]), spans


class SlowModel(FakeRecognizer):
    """Computes for a while by the test's clock. `at_work` is set meanwhile."""

    def __init__(self, clock: ManualClock, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.at_work = asyncio.Event()
        self._clock, self._loop = clock, loop
        self._ticked = threading.Condition()

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        done = self._clock.now() + SLOWNESS * sum(clip.seconds for clip in clips)
        self._loop.call_soon_threadsafe(self.at_work.set)
        with self._ticked:
            assert self._ticked.wait_for(lambda: self._clock.now() >= done, TIMEOUT_S)
        self._loop.call_soon_threadsafe(self.at_work.clear)
        return super().encode(clips)

    def tick(self) -> None:
        with self._ticked:
            self._clock.advance_to(self._clock.now() + 1.0)
            self._ticked.notify_all()


class Client:
    """Sends as fast as flow control allows, reads all events, and pings."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.held_back = asyncio.Event()  # by flow control, or nothing is left to send
        self.sent_ms = 0
        self.furthest_ahead_ms = 0  # of the last final
        self.events: list[messages.ServerEvent] = []
        self.code = 0
        self.pongs = 0
        self._acked_ms = 0
        self._final_ms = 0
        self._acknowledged = asyncio.Event()

    async def send(self, blocks: Iterator[bytes]) -> None:
        for block in blocks:
            while self.sent_ms - self._acked_ms > UNACKED_MS - BLOCK_MS:
                self.held_back.set()
                self._acknowledged.clear()
                await self._acknowledged.wait()
            self.held_back.clear()
            await self._socket.send(block)
            self.sent_ms += BLOCK_MS
            self.furthest_ahead_ms = max(self.furthest_ahead_ms, self.sent_ms - self._final_ms)
        self.held_back.set()
        await self._socket.send(json.dumps({"type": "stop", "at_samples": self.sent_ms * 16}))

    async def read(self) -> None:
        while True:
            try:
                event = messages.decode_server_message(await self._socket.recv())
            except ConnectionClosed as closed:
                self.code = 1006 if closed.rcvd is None else closed.rcvd.code
                return
            if isinstance(event, messages.Ack):
                self._acked_ms = event.received_samples // 16
                self._acknowledged.set()
            elif not isinstance(event, messages.Ready | messages.Waveform):
                self.events.append(event)
            if isinstance(event, messages.Emotion) and event.final:
                self._final_ms = event.end_ms

    async def ping_every_second(self, model: SlowModel) -> None:
        """By the model's clock, until cancelled."""
        while True:
            await model.at_work.wait()
            await self.held_back.wait()
            async with asyncio.timeout(TIMEOUT_S):
                await (await self._socket.ping())
            self.pongs += 1
            model.tick()


async def test_ten_minutes_at_full_speed_to_a_model_at_half_of_real_time() -> None:
    samples, spans = speech()
    pcm = encode_pcm(samples, "pcm_s16le")
    size = BLOCK_MS * 16 * 2
    clock = ManualClock()
    model = SlowModel(clock, asyncio.get_running_loop())
    settings = Settings(server=ServerSettings(port=0, max_unacked_ms=UNACKED_MS))
    engine = Engine(FakeTranscriber(), model, clock)
    async with (
        engine.running(),
        Server(bind(settings.server), engine, settings, clock) as server,
        started(server) as socket,
        asyncio.timeout(3 * TIMEOUT_S),
        asyncio.TaskGroup() as group,
    ):
        client = Client(socket)
        sending = group.create_task(client.send(pcm[i : i + size] for i in range(0, len(pcm), size)))
        pinging = group.create_task(client.ping_every_second(model))
        await client.read()
        sending.cancel()  # it has sent all, unless the server closed early
        pinging.cancel()

    assert client.code == 1000
    assert errors(client.events) == []
    events = finals(client.events)
    assert [(event.start_ms, event.end_ms) for event in events] == spans
    assert [event.utterance for event in events] == list(range(1, len(spans) + 1))
    assert all(event.text.endswith(" milliseconds") for event in events)
    closed = client.events[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.reason == "end_of_stream"
    assert closed.totals == messages.Totals(audio_ms=TEN_MINUTES_MS, utterances=len(spans), dropped_ms=0)
    # The model was slower than real time, and a ping was answered in every second of its work.
    assert clock.now() > TEN_MINUTES_MS / 1_000
    assert client.pongs >= SLOWNESS * sum(end - start for start, end in spans) / 1_000
    # The sender was held back: its lead over the last final is bounded by the unacknowledged audio, four
    # queued utterances, one in the model, and one that waits for a place in the queue, each with its pause.
    longest_ms = max(end - start for start, end in spans) + 1_500
    assert UNACKED_MS < client.furthest_ahead_ms <= UNACKED_MS + 7 * longest_ms
