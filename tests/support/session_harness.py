"""One session, frame by frame: the test pushes the audio, moves the clock and blocks the models.

Every frame carries its number, so a model can record which ones it got. While no model is blocked, all work
is done before the clock moves: work takes exactly the time that the test gives it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import numpy as np

from emostream.models import Clip, EncodedAudio, Transcript
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.audio.sources import Flush, Item, Pcm
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.backend import Analysis
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.pending import PendingBaseline
from emostream.streamer.inference.request import Priority, RequestContext, RequestShedError
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.protocol import messages
from tests.support.fakes import FRAME, FakeRecognizer, FakeTranscriber, ManualClock
from tests.support.streams import ListSink, finals

TIMEOUT_S = 60  # for a loaded machine; nothing here measures time
QUEUE_SIZE = 32  # candidates and interim results that may wait for one call of a model
OTHER_CLIP, QUEUED_CLIP = (20_000, 20_001), (30_000, 30_001)

Span = tuple[int, int]
"""A clip by its frames: the first, and the one after the last."""

LEVELS = {"speech": 0.5, "murmur": 0.1, "silence": 0.0}
"""Amplitudes. A murmur is speech too, 14 dB below the rest."""


def frame(number: int, level: float = 0.5) -> Samples:
    samples = np.full(FRAME, level, np.float32)
    samples[0] = number / 32_768
    return samples


def span(clip: Clip) -> Span:
    first, last = (round(float(sample) * 32_768) for sample in clip.samples[[0, -FRAME]])
    return first, last + 1


class ShedsTheFirst(Engine):
    """Sheds its first request once `shed` is set. Keeps all requests, and the baselines that came along."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: list[RequestContext] = []
        self.baselines: list[PendingBaseline | None] = []
        self.shed = asyncio.Event()

    async def analyse(
        self,
        clip: Clip,
        request: RequestContext,
        *,
        words: bool = True,
        baseline: PendingBaseline | None = None,
    ) -> Analysis:
        self.requests.append(request)
        self.baselines.append(baseline)
        if len(self.requests) == 1:
            await self.shed.wait()
            raise RequestShedError
        return await super().analyse(clip, request, words=words, baseline=baseline)


class ScriptedVad:
    """Returns the flags that the test has set."""

    name = "script"

    def __init__(self) -> None:
        self.flags: deque[bool] = deque()

    def is_speech(self, frames: Samples) -> list[bool]:
        return [self.flags.popleft() for _ in frames]


class ModelGate:
    """Records the clips of a model's calls, and can block them."""

    def __init__(self) -> None:
        self.clips: list[Span] = []
        self.held = False
        self._open = threading.Event()
        self._open.set()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def pass_through(self, clips: Sequence[Clip]) -> None:
        self.clips += [span(clip) for clip in clips]
        self._loop.call_soon_threadsafe(self._changed.set)
        assert self._open.wait(TIMEOUT_S)

    def hold(self) -> None:
        self.held = True
        self._open.clear()

    def release(self) -> None:
        self.held = False
        self._open.set()

    async def first_call(self) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not self.clips:
                self._changed.clear()
                await self._changed.wait()

    async def started(self, clip: Span) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while clip not in self.clips:
                self._changed.clear()
                await self._changed.wait()


class GatedRecognizer(FakeRecognizer):
    def __init__(self, fails_on: Sequence[int] = ()) -> None:
        super().__init__(fails_on)
        self.gate = ModelGate()

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        self.gate.pass_through(clips)
        return super().encode(clips)


class GatedTranscriber(FakeTranscriber):
    def __init__(self) -> None:
        super().__init__()
        self.gate = ModelGate()

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.gate.pass_through(clips)
        return super().transcribe(clips)


class IncrementalTranscriber(GatedTranscriber):
    """partial: records the clips of its incremental calls."""

    def __init__(self) -> None:
        super().__init__()
        self.partial = ModelGate()

    def transcribe_partial(self, clip: Clip) -> None:
        self.partial.pass_through([clip])


class PushSource:
    """A source whose items come from the test."""

    sample_rate_hz, channels = 16_000, 1

    def __init__(self) -> None:
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()

    async def push(self, item: Item) -> None:
        """Return when the session requests the next item."""
        self._items.put_nowait(item)
        async with asyncio.timeout(TIMEOUT_S):
            await self._items.join()

    async def items(self) -> AsyncIterator[Item]:
        while (item := await self._items.get()) is not None:
            yield item
            self._items.task_done()

    def stop(self) -> None:
        self._items.put_nowait(None)


class EventRecorder(ListSink):
    """Keeps the events, and lets the test wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    async def send(self, event: messages.ServerEvent) -> None:
        await super().send(event)
        self._changed.set()

    @property
    def emotions(self) -> list[messages.Emotion]:
        return [event for event in self.events if isinstance(event, messages.Emotion)]

    async def emotion(self, number: int) -> messages.Emotion:
        """The first, the second, ... emotion event."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.emotions) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.emotions[number - 1]


async def run_loop() -> None:
    """Enough iterations of the event loop for all work that waits for no thread."""
    for _ in range(50):
        await asyncio.sleep(0)


class SessionHarness:
    """One session, and what the test may do to it."""

    def __init__(self, engine: Engine, clock: ManualClock, settings: SessionSettings) -> None:
        assert isinstance(engine.recognizer, GatedRecognizer)
        assert engine.transcriber is None or isinstance(engine.transcriber, GatedTranscriber)
        self.engine, self.model, self.recorder = engine, engine.recognizer.gate, EventRecorder()
        self.transcriber = None if engine.transcriber is None else engine.transcriber.gate
        self.partial = (
            engine.transcriber.partial if isinstance(engine.transcriber, IncrementalTranscriber) else None
        )
        self.wait_for_models = True  # whether the clock waits for the models while none is blocked
        self._clock, self._source, self._vad = clock, PushSource(), ScriptedVad()
        self._frames = 0
        self.session = Session(
            self._source, lambda: self._vad, engine, EventLog("test"), [self.recorder], settings, clock
        )
        self._running = asyncio.create_task(self.session.run())

    async def play(self, kind: Literal["speech", "murmur", "silence"], frames: int) -> None:
        """Push so many frames, each at the time of its last sample; then wait for all work that needs no
        blocked model.
        """
        for _ in range(frames):
            block = frame(self._frames, LEVELS[kind])
            self._frames += 1
            self._vad.flags.append(kind != "silence")
            self._clock.advance_to(self._frames * 0.02)
            await self._source.push(Pcm(block[:, np.newaxis]))
            gates = (self.model, self.transcriber, self.partial)
            if self.wait_for_models and not any(gate is not None and gate.held for gate in gates):
                await self.settle()
        await run_loop()

    async def settle(self, *names: str) -> None:
        """Wait until no request of this session is in progress, or none of its tasks of these names."""
        wanted = names or ("analysis", "interim result", "incremental transcription")
        async with asyncio.timeout(TIMEOUT_S):
            while tasks := [task for task in asyncio.all_tasks() if task.get_name() in wanted]:
                await asyncio.wait(tasks)

    async def flush(self) -> None:
        await self._source.push(Flush())

    async def end(self) -> messages.Closed:
        """End the audio, and return the last event."""
        self._source.stop()
        async with asyncio.timeout(TIMEOUT_S):
            await self._running
        closed = self.recorder.events[-1]
        assert isinstance(closed, messages.Closed)
        assert closed.totals.utterances == len(finals(self.recorder.events))
        return closed

    async def occupy(self, model: ModelGate) -> None:
        """Block the model in a call for another stream."""
        model.hold()
        self.other_request(OTHER_CLIP, Priority.FINAL)
        await model.started(OTHER_CLIP)

    async def queue_candidates(self, count: int) -> list[asyncio.Task[Analysis]]:
        """Candidates of other streams that wait for the model."""
        tasks = [self.other_request(QUEUED_CLIP, Priority.CANDIDATE) for _ in range(count)]
        await run_loop()
        assert not [task for task in tasks if task.done()]
        return tasks

    def outcomes(self) -> dict[str, float]:
        """The counts of the candidates' outcomes."""
        (family,) = self.engine.metrics.candidates.collect()
        return {
            sample.labels["outcome"]: sample.value
            for sample in family.samples
            if sample.name.endswith("_total")
        }

    def other_request(self, clip: Span, priority: Priority) -> asyncio.Task[Analysis]:
        request = self.engine.new_request(priority, object())
        analysing = self.engine.analyse(Clip(frame(clip[0])), request)
        return asyncio.create_task(analysing, name="other request")

    async def close(self) -> None:
        for gate in self.model, self.transcriber, self.partial:
            if gate is not None:
                gate.release()
        self._running.cancel()
        others = [task for task in asyncio.all_tasks() if task.get_name() == "other request"]
        await asyncio.gather(self._running, *others, return_exceptions=True)


@asynccontextmanager
async def session_harness(
    kind: type[Engine] = Engine,
    *,
    transcriber: bool | GatedTranscriber = False,
    recognizer: GatedRecognizer | None = None,
    interim_interval_ms: int = 0,
    interim_words_interval_ms: int = 0,
    max_utterance_ms: int = 20_000,
    speculate: bool = True,
    transcript: bool = True,
    language: str | None = None,
) -> AsyncIterator[SessionHarness]:
    clock = ManualClock()
    model = GatedTranscriber() if transcriber is True else transcriber or None
    engine = kind(model, recognizer or GatedRecognizer(), clock)
    segmenter = SegmenterSettings(max_utterance_ms=max_utterance_ms)
    settings = SessionSettings(
        segmenter,
        language,
        transcript=transcript,
        speculate=speculate,
        interim_interval_ms=interim_interval_ms,
        interim_words_interval_ms=interim_words_interval_ms,
    )
    async with engine.running():
        harness = SessionHarness(engine, clock, settings)
        try:
            yield harness
        finally:
            await harness.close()
