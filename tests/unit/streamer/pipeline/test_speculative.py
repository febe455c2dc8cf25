"""Labels before their time: candidates that become finals, bets that are lost, provisional events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import numpy as np
import pytest

from emostream.models import Alignment, Clip, EncodedAudio, Prediction, Transcript
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
from emostream.streamer.pipeline.session import Session, SessionSettings
from emostream.streamer.pipeline.speculative import SpeculativeAnalysis
from emostream.streamer.protocol import messages
from tests.support.fakes import FakeRecognizer, FakeTranscriber, LoudnessVad, silence, voice
from tests.support.streams import ListSink

SETTINGS = SegmenterSettings()


class Step:
    """Something that a test waits for, set by a model's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def reached(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            await self._event.wait()


class Watched(FakeRecognizer):
    """Says which clips it hears (in ms), and waits for the test before it begins on some of them."""

    def __init__(self, fails_on: Sequence[int] = ()) -> None:
        super().__init__(fails_on)
        self.heard: list[int] = []
        self.began: dict[int, Step] = {}
        self.done: dict[int, Step] = {}
        self.gates: dict[int, threading.Event] = {}

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        lengths = [len(clip.samples) // 16 for clip in clips]
        self.heard += lengths
        for length in lengths:
            if length in self.began:
                self.began[length].reached()
            if length in self.gates:
                assert self.gates[length].wait(10)
        return super().encode(clips)

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
    ) -> list[Prediction]:
        found = super().fuse(codes, transcripts, alignments)
        for code in codes:
            if code.frames // 16 in self.done:
                self.done[code.frames // 16].reached()
        return found


class Script:
    """A source that plays sound and waits for things, in turn."""

    sample_rate_hz, channels = 16_000, 1

    def __init__(self, *steps: Samples | Step | Callable[[], None]) -> None:
        self._steps = steps

    def stop(self) -> None: ...

    async def items(self) -> AsyncIterator[Item]:
        for step in self._steps:
            if isinstance(step, Step):
                await step.wait()
            elif isinstance(step, np.ndarray):
                yield Pcm(step[:, np.newaxis])
                await asyncio.sleep(0)
            else:
                step()


async def play(
    source: Script,
    recognizer: FakeRecognizer,
    *,
    transcriber: FakeTranscriber | None = None,
    interim_interval_ms: int = 0,
) -> tuple[list[messages.Emotion], Engine]:
    engine, sink = Engine(transcriber, recognizer, WallClock()), ListSink()
    settings = SessionSettings(SETTINGS, speculate=True, interim_interval_ms=interim_interval_ms)
    session = Session(source, LoudnessVad(), engine, EventLog("test"), [sink], settings, WallClock())
    async with engine.running():
        await session.run()
    return [one for one in sink.events if isinstance(one, messages.Emotion)], engine


CLIP_MS = 1_000 + SETTINGS.tail_ms
"""Of a second of speech at the very start of a stream."""


async def test_the_analysis_of_a_candidate_is_the_final_s() -> None:
    model = Watched()
    model.done[CLIP_MS] = Step()
    source = Script(voice(1_000), silence(300), model.done[CLIP_MS], silence(300))
    (final,), engine = await play(source, model)
    assert final.final
    assert (final.reason, final.end_ms) == ("silence", 1_000)
    assert model.heard == [CLIP_MS]
    assert final.timing.lead_ms > 0
    assert engine.compute_time.wasted_compute_s == 0


async def test_a_pause_that_does_not_last_costs_an_analysis_and_no_event() -> None:
    model = Watched()
    model.done[CLIP_MS] = Step()
    source = Script(voice(1_000), silence(300), model.done[CLIP_MS], voice(1_000, seed=1), silence(600))
    (final,), engine = await play(source, model)
    assert (final.start_ms, final.end_ms) == (0, 2_300)
    assert model.heard == [CLIP_MS, 2_300 + SETTINGS.tail_ms]
    assert 0 < engine.compute_time.wasted_compute_s < engine.compute_time.compute_s


async def test_nothing_new_is_bet_while_the_models_work_on_a_lost_bet() -> None:
    """The second pause is short of a candidate: its final is asked for when it is due, and waits its turn."""
    model = Watched()
    model.began[CLIP_MS], model.gates[CLIP_MS] = Step(), threading.Event()
    source = Script(
        voice(1_000),
        silence(300),
        model.began[CLIP_MS],
        voice(1_000, seed=1),
        silence(400),
        lambda: model.heard.append(-1),
        silence(200),
        model.gates[CLIP_MS].set,
    )
    (final,), _ = await play(source, model)
    assert final.end_ms == 2_300
    assert final.timing.lead_ms == 0
    assert model.heard == [CLIP_MS, -1, 2_300 + SETTINGS.tail_ms]


async def test_a_candidate_that_runs_when_its_end_comes_is_waited_for() -> None:
    model = Watched()
    model.began[CLIP_MS], model.gates[CLIP_MS] = Step(), threading.Event()
    source = Script(voice(1_000), silence(300), model.began[CLIP_MS], silence(600), model.gates[CLIP_MS].set)
    (final,), engine = await play(source, model)
    assert model.heard == [CLIP_MS]
    assert final.timing.lead_ms > 0
    assert engine.compute_time.wasted_compute_s == 0


async def test_finals_are_the_same_with_and_without() -> None:
    """Whatever is bet meanwhile, and however the sound is cut into blocks."""
    rng = np.random.default_rng(0)
    parts = []
    for turn in range(12):
        parts += [voice(int(rng.integers(100, 900)), seed=turn), silence(int(rng.integers(40, 800)))]
    stream = np.concatenate([*parts, silence(800)])
    told = []
    for speculate, block in ((False, len(stream)), (True, 1_600), (True, 333)):
        engine, sink = Engine(FakeTranscriber(), FakeRecognizer(), WallClock()), ListSink()
        settings = SessionSettings(SETTINGS, speculate=speculate)
        source = Script(*(stream[start : start + block] for start in range(0, len(stream), block)))
        session = Session(source, LoudnessVad(), engine, EventLog("test"), [sink], settings, WallClock())
        async with engine.running():
            await session.run()
        finals = [one for one in sink.events if isinstance(one, messages.Emotion)]
        nothing = finals[0].timing
        told.append([msgspec.structs.replace(one, seq=0, timing=nothing) for one in finals])
    assert len(told[0]) > 5
    for one in told[1:]:
        assert [msgspec.structs.replace(event, timing=told[0][0].timing) for event in one] == told[0]


class TestProvisional:
    async def test_it_says_all_so_far_by_its_sound_and_the_final_comes_last(self) -> None:
        model, speech = Watched(), voice(3_000)
        shown = Step()

        class Sink(ListSink):
            async def send(self, event: messages.ServerEvent) -> None:
                await super().send(event)
                if isinstance(event, messages.Emotion) and not event.final:
                    shown.reached()

        sink, transcriber = Sink(), FakeTranscriber()
        engine = Engine(transcriber, model, WallClock())
        source = Script(speech[:24_000], shown, speech[24_000:], silence(600))
        settings = SessionSettings(SETTINGS, speculate=True, interim_interval_ms=1_000)
        session = Session(source, LoudnessVad(), engine, EventLog("test"), [sink], settings, WallClock())
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

    async def test_none_comes_once_the_end_is_decided(self) -> None:
        speech, heard = voice(1_500), threading.Event()

        class Slow(Watched):
            def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
                self.heard += [len(clip.samples) // 16 for clip in clips]
                if len(self.heard) == 1:
                    self.began[0].reached()
                    assert heard.wait(10)
                return FakeRecognizer.encode(self, clips)

        model = Slow()
        model.began[0] = Step()
        source = Script(speech, model.began[0], silence(800), heard.set)
        (only,), engine = await play(source, model, interim_interval_ms=1_000)
        assert only.final
        assert engine.compute_time.wasted_compute_s > 0

    async def test_without_it_there_is_none(self) -> None:
        model = Watched()
        (only,), _ = await play(Script(voice(3_000), silence(600)), model, interim_interval_ms=0)
        assert only.final
        assert len(model.heard) == 1


class TestBets:
    """The rules, without models."""

    def bets(self) -> tuple[SpeculativeAnalysis, list[PendingAnalysis]]:
        made: list[PendingAnalysis] = []

        def ask(utterance: Utterance, priority: Priority) -> PendingAnalysis:
            waiting: asyncio.Future[Analysis] = asyncio.get_running_loop().create_future()

            async def analysis() -> Analysis:
                return await waiting

            made.append(PendingAnalysis(asyncio.create_task(analysis()), RequestContext(priority)))
            return made[-1]

        return SpeculativeAnalysis(ask), made

    def candidate(self, number: int = 1) -> Utterance:
        return Utterance(number, 0, 320, 0, np.zeros(320, np.float32), "silence", 640)

    async def test_a_candidate_is_asked_for_once(self) -> None:
        speculation, made = self.bets()
        one = self.candidate()
        for _ in range(3):
            speculation.consider(one)
        assert [asked.request.priority for asked in made] == [Priority.CANDIDATE]

    async def test_what_is_won_is_wanted_as_a_final(self) -> None:
        speculation, made = self.bets()
        one = self.candidate()
        speculation.consider(one)
        assert speculation.claim(one) is made[0]
        assert made[0].request.priority is Priority.FINAL
        speculation.consider(None)
        assert not made[0].task.cancelling()

    async def test_another_utterance_wins_nothing(self) -> None:
        speculation, made = self.bets()
        speculation.consider(self.candidate())
        assert speculation.claim(self.candidate()) is None
        assert made[0].task.cancelling()

    async def test_a_lost_bet_that_waits_makes_room_for_the_next(self) -> None:
        speculation, made = self.bets()
        speculation.consider(self.candidate())
        speculation.consider(None)
        assert made[0].task.cancelling()
        speculation.consider(self.candidate(2))
        assert len(made) == 2

    async def test_a_lost_bet_that_runs_does_not(self) -> None:
        speculation, made = self.bets()
        speculation.consider(self.candidate())
        made[0].request.running_calls = 1
        speculation.consider(None)
        speculation.consider(second := self.candidate(2))
        assert len(made) == 1
        assert speculation.claim(second) is None
        made[0].request.running_calls = 0
        speculation.consider(self.candidate(3))
        assert len(made) == 2

    @pytest.mark.parametrize("error", [RequestShedError(), RuntimeError("no")])
    async def test_a_bet_that_came_to_nothing_wins_nothing(self, error: Exception) -> None:
        async def failing() -> Analysis:
            raise error

        asked = PendingAnalysis(asyncio.create_task(failing()), RequestContext(Priority.CANDIDATE))
        await asyncio.wait({asked.task})
        speculation = SpeculativeAnalysis(lambda *_: asked)
        speculation.consider(one := self.candidate())
        assert speculation.claim(one) is None
