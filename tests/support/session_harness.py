"""One stream, frame by frame: a test speaks, moves the clock and holds the models up.

Every frame carries its number, so a model can say which ones it was given. While no model is held, all work
is done before the clock moves: what takes time takes exactly what the test gives it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import numpy as np

from emostream.models import Clip, EncodedAudio, Transcript
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.audio.sources import Flush, Item, Pcm
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.backend import Analysis
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.request import Priority
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session, SessionSettings
from emostream.streamer.protocol import messages
from tests.support.fakes import FRAME, FakeRecognizer, FakeTranscriber, ManualClock
from tests.support.streams import ListSink, finals

PATIENCE_S = 60  # for a loaded machine; nothing here measures time
QUEUE = 32  # candidates and provisionals that may wait for one call of a model
NEIGHBOUR, CROWD = (20_000, 20_001), (30_000, 30_001)

Span = tuple[int, int]
"""A clip by its frames: the first, and the one behind the last."""

LEVELS = {"speech": 0.5, "murmur": 0.1, "silence": 0.0}
"""Amplitudes. A murmur is speech too, 14 dB below the rest."""


def frame(number: int, level: float = 0.5) -> Samples:
    samples = np.full(FRAME, level, np.float32)
    samples[0] = number / 32_768
    return samples


def span(clip: Clip) -> Span:
    first, last = (round(float(sample) * 32_768) for sample in clip.samples[[0, -FRAME]])
    return first, last + 1


class ScriptedVad:
    """Says what the test says of each frame."""

    name = "script"

    def __init__(self) -> None:
        self.flags: deque[bool] = deque()

    def is_speech(self, frames: Samples) -> list[bool]:
        return [self.flags.popleft() for _ in frames]


class Gate:
    """Through which a model's calls go: it says which clips they were of, and can be held shut."""

    def __init__(self) -> None:
        self.heard: list[Span] = []
        self.held = False
        self._go = threading.Event()
        self._go.set()
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def go_through(self, clips: Sequence[Clip]) -> None:
        self.heard += [span(clip) for clip in clips]
        self._loop.call_soon_threadsafe(self._news.set)
        assert self._go.wait(PATIENCE_S)

    def hold(self) -> None:
        self.held = True
        self._go.clear()

    def release(self) -> None:
        self.held = False
        self._go.set()

    async def anything(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.heard:
                self._news.clear()
                await self._news.wait()

    async def begun(self, clip: Span) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while clip not in self.heard:
                self._news.clear()
                await self._news.wait()


class Model(FakeRecognizer):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        self.gate.go_through(clips)
        return super().encode(clips)


class Words(FakeTranscriber):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.gate.go_through(clips)
        return super().transcribe(clips)


class KeenWords(Words):
    """Hears ahead. listened: the beginnings that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.listened = Gate()

    def transcribe_partial(self, clip: Clip) -> None:
        self.listened.go_through([clip])


class Mouth:
    """A source into which the test speaks."""

    sample_rate_hz, channels = 16_000, 1

    def __init__(self) -> None:
        self._said: asyncio.Queue[Item | None] = asyncio.Queue()

    async def say(self, item: Item) -> None:
        """Return when the session asks for the next one."""
        self._said.put_nowait(item)
        async with asyncio.timeout(PATIENCE_S):
            await self._said.join()

    async def items(self) -> AsyncIterator[Item]:
        while (item := await self._said.get()) is not None:
            yield item
            self._said.task_done()

    def stop(self) -> None:
        self._said.put_nowait(None)


class Paper(ListSink):
    """Keeps what is told, and lets the test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    async def send(self, event: messages.ServerEvent) -> None:
        await super().send(event)
        self._news.set()

    @property
    def emotions(self) -> list[messages.Emotion]:
        return [event for event in self.events if isinstance(event, messages.Emotion)]

    async def emotion(self, number: int) -> messages.Emotion:
        """The first, the second, ... that is told."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.emotions) < number:
                self._news.clear()
                await self._news.wait()
        return self.emotions[number - 1]


async def turns() -> None:
    """As many of the loop as it takes until whatever waits for no thread has come to its end."""
    for _ in range(50):
        await asyncio.sleep(0)


class Stage:
    """One stream, and what the test may do to it."""

    def __init__(self, engine: Engine, clock: ManualClock, settings: SessionSettings) -> None:
        assert isinstance(engine.recognizer, Model)
        assert engine.transcriber is None or isinstance(engine.transcriber, Words)
        self.engine, self.model, self.paper = engine, engine.recognizer.gate, Paper()
        self.words = None if engine.transcriber is None else engine.transcriber.gate
        self.listened = engine.transcriber.listened if isinstance(engine.transcriber, KeenWords) else None
        self.patient = True  # whether the clock waits for the models while none is held
        self._clock, self._mouth, self._vad = clock, Mouth(), ScriptedVad()
        self._frames = 0
        self.session = Session(
            self._mouth, self._vad, engine, EventLog("test"), [self.paper], settings, clock
        )
        self._running = asyncio.create_task(self.session.run())

    async def hear(self, kind: Literal["speech", "murmur", "silence"], frames: int) -> None:
        """So many frames of it, each at the moment when its last sample is spoken. Then all is done that can
        be done without a model that is held.
        """
        for _ in range(frames):
            block = frame(self._frames, LEVELS[kind])
            self._frames += 1
            self._vad.flags.append(kind != "silence")
            self._clock.advance_to(self._frames * 0.02)
            await self._mouth.say(Pcm(block[:, np.newaxis]))
            gates = (self.model, self.words, self.listened)
            if self.patient and not any(gate is not None and gate.held for gate in gates):
                await self.quiet()
        await turns()

    async def quiet(self, *names: str) -> None:
        """Nothing that this stream asked of the models is under way; or none of its tasks of these names."""
        wanted = names or ("analysis", "interim result", "incremental transcription")
        async with asyncio.timeout(PATIENCE_S):
            while own := [one for one in asyncio.all_tasks() if one.get_name() in wanted]:
                await asyncio.wait(own)

    async def flush(self) -> None:
        await self._mouth.say(Flush())

    async def end(self) -> messages.Closed:
        """The sound is over. The last that is told."""
        self._mouth.stop()
        async with asyncio.timeout(PATIENCE_S):
            await self._running
        closed = self.paper.events[-1]
        assert isinstance(closed, messages.Closed)
        assert closed.totals.utterances == len(finals(self.paper.events))
        return closed

    async def occupy(self, model: Gate) -> None:
        """A neighbour's utterance that this model works on until it is let go."""
        model.hold()
        self.neighbour(NEIGHBOUR, Priority.FINAL)
        await model.begun(NEIGHBOUR)

    async def crowd(self, count: int) -> list[asyncio.Task[Analysis]]:
        """Candidates of neighbours that wait for the model."""
        tasks = [self.neighbour(CROWD, Priority.CANDIDATE) for _ in range(count)]
        await turns()
        assert not [task for task in tasks if task.done()]
        return tasks

    def outcomes(self) -> dict[str, float]:
        """What became of the candidates."""
        (family,) = self.engine.metrics.candidates.collect()
        return {
            sample.labels["outcome"]: sample.value
            for sample in family.samples
            if sample.name.endswith("_total")
        }

    def neighbour(self, clip: Span, priority: Priority) -> asyncio.Task[Analysis]:
        request = self.engine.new_request(priority, object())
        analysing = self.engine.analyse(Clip(frame(clip[0])), request)
        return asyncio.create_task(analysing, name="neighbour")

    async def leave(self) -> None:
        for gate in self.model, self.words, self.listened:
            if gate is not None:
                gate.release()
        self._running.cancel()
        neighbours = [one for one in asyncio.all_tasks() if one.get_name() == "neighbour"]
        await asyncio.gather(self._running, *neighbours, return_exceptions=True)


@asynccontextmanager
async def on_stage(
    kind: type[Engine] = Engine,
    *,
    words: bool | Words = False,
    interim_interval_ms: int = 0,
    max_utterance_ms: int = 20_000,
    speculate: bool = True,
) -> AsyncIterator[Stage]:
    clock = ManualClock()
    transcriber = Words() if words is True else words or None
    engine = kind(transcriber, Model(), clock)
    segmenter = SegmenterSettings(max_utterance_ms=max_utterance_ms)
    settings = SessionSettings(segmenter, speculate=speculate, interim_interval_ms=interim_interval_ms)
    async with engine.running():
        stage = Stage(engine, clock, settings)
        try:
            yield stage
        finally:
            await stage.leave()
