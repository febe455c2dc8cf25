"""Speculative analysis: candidates that become finals, bets that are lost, provisional events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import numpy as np
import pytest

from emostream.models import Alignment, Clip, EncodedAudio, Prediction, SpeakerBaseline, Transcript
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.audio.sources import Item, Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.backend import Analysis
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.request import Priority, RequestContext, RequestShedError
from emostream.streamer.pipeline.analysis_requests import PendingAnalysis
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.segmenter import Utterance
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.pipeline.speculative import SpeculativeAnalysis
from emostream.streamer.protocol import messages
from tests.support.fakes import FakeRecognizer, FakeTranscriber, LoudnessVad, silence, voice
from tests.support.streams import ListSink

SETTINGS = SegmenterSettings()


class Signal:
    """An event that a model's thread sets and a test waits for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            await self._event.wait()


class GatedRecognizer(FakeRecognizer):
    """Records its clips (in ms), and waits for the test before it starts on some of them."""

    def __init__(self, fails_on: Sequence[int] = ()) -> None:
        super().__init__(fails_on)
        self.clips_ms: list[int] = []
        self.started: dict[int, Signal] = {}
        self.done: dict[int, Signal] = {}
        self.gates: dict[int, threading.Event] = {}

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        lengths = [len(clip.samples) // 16 for clip in clips]
        self.clips_ms += lengths
        for length in lengths:
            if length in self.started:
                self.started[length].set()
            if length in self.gates:
                assert self.gates[length].wait(10)
        return super().encode(clips)

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        predictions = super().fuse(codes, transcripts, alignments, baselines)
        for code in codes:
            if code.frames // 16 in self.done:
                self.done[code.frames // 16].set()
        return predictions


class ScriptedSource:
    """A source that yields audio, waits for signals and calls functions, in turn."""

    sample_rate_hz, channels = 16_000, 1

    def __init__(self, *steps: Samples | Signal | Callable[[], None]) -> None:
        self._steps = steps

    def stop(self) -> None: ...

    async def items(self) -> AsyncIterator[Item]:
        for step in self._steps:
            if isinstance(step, Signal):
                await step.wait()
            elif isinstance(step, np.ndarray):
                yield Pcm(step[:, np.newaxis])
                await asyncio.sleep(0)
            else:
                step()


async def play(
    source: ScriptedSource,
    recognizer: FakeRecognizer,
    *,
    transcriber: FakeTranscriber | None = None,
    interim_interval_ms: int = 0,
) -> tuple[list[messages.Emotion], Engine]:
    engine, sink = Engine(transcriber, recognizer, WallClock()), ListSink()
    settings = SessionSettings(SETTINGS, speculate=True, interim_interval_ms=interim_interval_ms)
    session = Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock())
    async with engine.running():
        await session.run()
    return [event for event in sink.events if isinstance(event, messages.Emotion)], engine


TIMING = messages.Timing(endpoint_ms=0, lead_ms=0, queue_ms=0, asr_ms=0, align_ms=0, emotion_ms=0, total_ms=0)

CLIP_MS = 1_000 + SETTINGS.tail_ms
"""Of a second of speech at the very start of a stream."""


async def test_the_analysis_of_a_candidate_is_used_for_the_final() -> None:
    model = GatedRecognizer()
    model.done[CLIP_MS] = Signal()
    source = ScriptedSource(voice(1_000), silence(300), model.done[CLIP_MS], silence(300))
    (final,), engine = await play(source, model)
    assert final.final
    assert (final.reason, final.end_ms) == ("silence", 1_000)
    assert model.clips_ms == [CLIP_MS]
    assert final.timing.lead_ms > 0
    assert engine.compute_time.wasted_compute_s == 0


async def test_a_pause_that_does_not_last_costs_an_analysis_and_no_event() -> None:
    model = GatedRecognizer()
    model.done[CLIP_MS] = Signal()
    source = ScriptedSource(
        voice(1_000), silence(300), model.done[CLIP_MS], voice(1_000, seed=1), silence(600)
    )
    (final,), engine = await play(source, model)
    assert (final.start_ms, final.end_ms) == (0, 2_300)
    assert model.clips_ms == [CLIP_MS, 2_300 + SETTINGS.tail_ms]
    assert 0 < engine.compute_time.wasted_compute_s < engine.compute_time.compute_s


async def test_no_candidate_is_analysed_while_a_discarded_one_is_computed() -> None:
    """The second pause has no candidate: its final is requested when it is due, and waits."""
    model = GatedRecognizer()
    model.started[CLIP_MS], model.gates[CLIP_MS] = Signal(), threading.Event()
    source = ScriptedSource(
        voice(1_000),
        silence(300),
        model.started[CLIP_MS],
        voice(1_000, seed=1),
        silence(400),
        lambda: model.clips_ms.append(-1),
        silence(200),
        model.gates[CLIP_MS].set,
    )
    (final,), _ = await play(source, model)
    assert final.end_ms == 2_300
    assert final.timing.lead_ms == 0
    assert model.clips_ms == [CLIP_MS, -1, 2_300 + SETTINGS.tail_ms]


async def test_a_final_waits_for_its_candidate_that_still_runs() -> None:
    model = GatedRecognizer()
    model.started[CLIP_MS], model.gates[CLIP_MS] = Signal(), threading.Event()
    source = ScriptedSource(
        voice(1_000), silence(300), model.started[CLIP_MS], silence(600), model.gates[CLIP_MS].set
    )
    (final,), engine = await play(source, model)
    assert model.clips_ms == [CLIP_MS]
    assert final.timing.lead_ms > 0
    assert engine.compute_time.wasted_compute_s == 0


async def test_finals_are_the_same_with_and_without() -> None:
    """Whatever is analysed speculatively, and however the audio is divided into blocks."""
    rng = np.random.default_rng(0)
    parts = []
    for turn in range(12):
        parts += [voice(int(rng.integers(100, 900)), seed=turn), silence(int(rng.integers(40, 800)))]
    stream = np.concatenate([*parts, silence(800)])
    runs = []
    for speculate, block in ((False, len(stream)), (True, 1_600), (True, 333)):
        engine, sink = Engine(FakeTranscriber(), FakeRecognizer(), WallClock()), ListSink()
        settings = SessionSettings(SETTINGS, speculate=speculate)
        source = ScriptedSource(*(stream[start : start + block] for start in range(0, len(stream), block)))
        session = Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock())
        async with engine.running():
            await session.run()
        finals = [event for event in sink.events if isinstance(event, messages.Emotion)]
        runs.append([msgspec.structs.replace(event, seq=0, timing=TIMING) for event in finals])
    assert len(runs[0]) > 5
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]


class TestInterimResults:
    async def test_one_covers_all_audio_so_far_without_words_and_the_final_comes_last(self) -> None:
        model, speech = GatedRecognizer(), voice(3_000)
        shown = Signal()

        class Sink(ListSink):
            async def send(self, event: messages.ServerEvent) -> None:
                await super().send(event)
                if isinstance(event, messages.Emotion) and not event.final:
                    shown.set()

        sink, transcriber = Sink(), FakeTranscriber()
        engine = Engine(transcriber, model, WallClock())
        source = ScriptedSource(speech[:24_000], shown, speech[24_000:], silence(600))
        settings = SessionSettings(SETTINGS, speculate=True, interim_interval_ms=1_000)
        session = Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock())
        async with engine.running():
            await session.run()
        first, *_, last = (one for one in sink.events if isinstance(one, messages.Emotion))
        assert (first.final, first.reason, first.utterance) == (False, "speaking", 1)
        assert first.start_ms == 0
        assert 1_000 <= first.end_ms <= 1_500
        assert (first.text, first.text_only, first.words) == ("", None, ())
        assert last.final
        assert last.text == f"{3_000 + SETTINGS.tail_ms} milliseconds"
        assert [type(one) for one in sink.events[:2]] == [messages.SpeechStarted, messages.Emotion]

    async def test_none_is_sent_once_the_end_is_decided(self) -> None:
        speech, clips_ms = voice(1_500), threading.Event()

        class SlowRecognizer(GatedRecognizer):
            def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
                self.clips_ms += [len(clip.samples) // 16 for clip in clips]
                if len(self.clips_ms) == 1:
                    self.started[0].set()
                    assert clips_ms.wait(10)
                return FakeRecognizer.encode(self, clips)

        model = SlowRecognizer()
        model.started[0] = Signal()
        source = ScriptedSource(speech, model.started[0], silence(800), clips_ms.set)
        (only,), engine = await play(source, model, interim_interval_ms=1_000)
        assert only.final
        assert engine.compute_time.wasted_compute_s > 0

    async def test_with_an_interval_of_0_there_is_none(self) -> None:
        model = GatedRecognizer()
        (only,), _ = await play(ScriptedSource(voice(3_000), silence(600)), model, interim_interval_ms=0)
        assert only.final
        assert len(model.clips_ms) == 1


class TestSpeculativeAnalysis:
    """The rules, without models."""

    def speculation(self) -> tuple[SpeculativeAnalysis, list[PendingAnalysis]]:
        pending: list[PendingAnalysis] = []

        def analyse(utterance: Utterance, priority: Priority) -> PendingAnalysis:
            waiting: asyncio.Future[Analysis] = asyncio.get_running_loop().create_future()

            async def analysis() -> Analysis:
                return await waiting

            pending.append(PendingAnalysis(asyncio.create_task(analysis()), RequestContext(priority)))
            return pending[-1]

        return SpeculativeAnalysis(analyse), pending

    def candidate(self, number: int = 1) -> Utterance:
        return Utterance(number, 0, 320, 0, np.zeros(320, np.float32), "silence", 640)

    async def test_a_candidate_is_analysed_once(self) -> None:
        speculation, pending = self.speculation()
        candidate = self.candidate()
        for _ in range(3):
            speculation.consider(candidate)
        assert [analysis.request.priority for analysis in pending] == [Priority.CANDIDATE]

    async def test_a_candidate_that_is_claimed_has_the_priority_of_a_final(self) -> None:
        speculation, pending = self.speculation()
        candidate = self.candidate()
        speculation.consider(candidate)
        assert speculation.claim(candidate) is pending[0]
        assert pending[0].request.priority is Priority.FINAL
        speculation.consider(None)
        assert not pending[0].task.cancelling()

    async def test_another_utterance_cannot_claim_it(self) -> None:
        speculation, pending = self.speculation()
        speculation.consider(self.candidate())
        assert speculation.claim(self.candidate()) is None
        assert pending[0].task.cancelling()

    async def test_a_discarded_candidate_that_waits_allows_the_next_one(self) -> None:
        speculation, pending = self.speculation()
        speculation.consider(self.candidate())
        speculation.consider(None)
        assert pending[0].task.cancelling()
        speculation.consider(self.candidate(2))
        assert len(pending) == 2

    async def test_a_discarded_candidate_that_runs_does_not(self) -> None:
        speculation, pending = self.speculation()
        speculation.consider(self.candidate())
        pending[0].request.running_calls = 1
        speculation.consider(None)
        speculation.consider(second := self.candidate(2))
        assert len(pending) == 1
        assert speculation.claim(second) is None
        pending[0].request.running_calls = 0
        speculation.consider(self.candidate(3))
        assert len(pending) == 2

    @pytest.mark.parametrize("error", [RequestShedError(), RuntimeError("no")])
    async def test_a_candidate_that_failed_cannot_be_claimed(self, error: Exception) -> None:
        async def failing() -> Analysis:
            raise error

        pending = PendingAnalysis(asyncio.create_task(failing()), RequestContext(Priority.CANDIDATE))
        await asyncio.wait({pending.task})
        speculation = SpeculativeAnalysis(lambda *_: pending)
        speculation.consider(candidate := self.candidate())
        assert speculation.claim(candidate) is None
