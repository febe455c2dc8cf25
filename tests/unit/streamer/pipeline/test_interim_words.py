"""The words of the utterance in progress; `session_harness` moves the clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from emostream.models import Clip, Transcript
from emostream.streamer.inference.request import Priority
from emostream.streamer.protocol import messages
from tests.support.session_harness import (
    OTHER_CLIP,
    TIMEOUT_S,
    GatedTranscriber,
    IncrementalTranscriber,
    SessionHarness,
    Span,
    frame,
    run_loop,
    session_harness,
)

# Speech is confirmed with frame 5, at 0.12 s: words are due after 1.12 s, with frame 55. A gap is 4 frames
# without speech; the candidate exists from the tenth on, the end is decided with the 25th.
DUE = (0, 56)


class SpeakingTranscriber(GatedTranscriber):
    """A word for every 200 ms (10 frames) of the clip: `w1 w2 w3`. fails: whether it raises."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.gate.pass_through(clips)
        if self.fails:
            raise RuntimeError("no memory")
        return [Transcript(words_of((0, len(clip.samples) // 320)), "en") for clip in clips]


class TwoThreads(SpeakingTranscriber):
    """Takes two calls at a time; that for interim words waits for the test."""

    concurrent_calls = 2

    def __init__(self) -> None:
        super().__init__()
        self.release_interim = threading.Event()

    def transcribe_interim(self, clips: Sequence[Clip]) -> list[Transcript]:
        transcripts = self.transcribe(clips)
        assert self.release_interim.wait(TIMEOUT_S)
        return transcripts


def words_of(clip: Span) -> str:
    return " ".join(f"w{i + 1}" for i in range((clip[1] - clip[0]) // 10))


@asynccontextmanager
async def speaking(
    transcriber: GatedTranscriber | None = None,
) -> AsyncIterator[SessionHarness]:
    model = transcriber or SpeakingTranscriber()
    async with session_harness(
        transcriber=model, interim_interval_ms=2_000, interim_words_interval_ms=1_000
    ) as harness:
        yield harness


def texts(events: Sequence[messages.Emotion]) -> list[tuple[bool, str]]:
    return [(event.final, event.text) for event in events]


def stable_text(event: messages.Emotion) -> str:
    assert isinstance(event.stable_chars, int)
    return event.text[: event.stable_chars]


def clips_of(harness: SessionHarness) -> list[Span]:
    assert harness.transcriber is not None
    return harness.transcriber.clips


class TestWhen:
    async def test_after_every_interval_of_speech(self) -> None:
        async with speaking() as harness:
            await harness.play("speech", 55)
            assert harness.recorder.emotions == []
            await harness.play("speech", 52)
            first, second = harness.recorder.emotions
            assert clips_of(harness) == [DUE, (0, 106)]
        assert (first.final, first.reason, first.text) == (False, "speaking", words_of(DUE))
        assert (second.text, stable_text(second)) == (words_of((0, 106)), words_of(DUE))
        assert stable_text(first) == ""
        assert first.words == ()

    async def test_at_a_gap_between_two_words_and_once_in_it(self) -> None:
        async with speaking() as harness:
            await harness.play("speech", 30)
            await harness.play("silence", 3)
            assert clips_of(harness) == []
            await harness.play("silence", 1)
            assert clips_of(harness) == [(0, 34)]
            await harness.play("silence", 4)
            assert clips_of(harness) == [(0, 34)]
            assert texts(harness.recorder.emotions) == [(False, "w1 w2 w3")]

    async def test_the_words_of_a_candidate_are_shown_before_its_pause_has_lasted(self) -> None:
        async with speaking() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 10)
            assert texts(harness.recorder.emotions)[-1] == (False, words_of((0, 60)))
            assert harness.recorder.emotions[-1].reason == "speaking"
            before = len(harness.recorder.emotions)
            await harness.play("silence", 15)
            final = await harness.recorder.emotion(before + 1)
            assert (final.final, final.text, final.stable_chars) == (True, words_of((0, 60)), None)
            assert clips_of(harness) == [(0, 54), (0, 60)]  # the final costs nothing more

    async def test_speech_that_resumes_keeps_what_is_stable(self) -> None:
        async with speaking() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 12)
            shown = harness.recorder.emotions[-1]
            await harness.play("speech", 50)
            await harness.play("silence", 4)
            later = harness.recorder.emotions[-1]
        assert stable_text(shown)
        assert later.text == words_of((0, 116))
        assert stable_text(later).startswith(stable_text(shown))

    async def test_the_next_utterance_begins_without_words(self) -> None:
        async with speaking() as harness:
            for _ in range(2):
                await harness.play("speech", 50)
                await harness.play("silence", 30)
            firsts = [
                next(event for event in harness.recorder.emotions if event.utterance == number)
                for number in (1, 2)
            ]
        assert [stable_text(event) for event in firsts] == ["", ""]


class TestLoad:
    async def test_one_at_a_time(self) -> None:
        async with speaking() as harness:
            assert harness.transcriber is not None
            harness.transcriber.hold()
            await harness.play("speech", 56)
            await harness.transcriber.started(DUE)
            await harness.play("speech", 90)
            await harness.play("silence", 5)
            assert clips_of(harness) == [DUE]
            harness.transcriber.release()

    async def test_without_budget_they_come_at_the_longer_interval_and_without_new_words(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with speaking() as harness:
            await harness.play("speech", 56)
            monkeypatch.setattr(harness.engine.interim_budget, "take", lambda reserve_s=0.0: False)
            await harness.play("speech", 99)
            assert len(harness.recorder.emotions) == 1
            await harness.play("speech", 1)
            first, second = harness.recorder.emotions
            assert clips_of(harness) == [DUE]
        assert second.end_ms == first.end_ms + 2_000
        assert (second.text, second.stable_chars) == (first.text, first.stable_chars)

    async def test_what_still_waits_when_the_candidate_comes_is_never_computed(self) -> None:
        async with speaking() as harness:
            assert harness.transcriber is not None
            await harness.occupy(harness.transcriber)
            await harness.play("speech", 50)
            await harness.play("silence", 4)
            # Its audio is encoded before another stream's, and then it waits for its words only.
            request = harness.engine.new_request(Priority.INTERIM, object())
            await harness.engine.analyse(Clip(frame(1)), request, words=False)
            await harness.play("silence", 8)
            harness.transcriber.release()
            await harness.settle()
            assert clips_of(harness) == [OTHER_CLIP, (0, 60)]
            assert texts(harness.recorder.emotions) == [(False, words_of((0, 60)))]

    async def test_what_is_computed_when_the_candidate_comes_is_still_shown(self) -> None:
        async with speaking() as harness:
            assert harness.transcriber is not None
            harness.transcriber.hold()
            await harness.play("speech", 50)
            await harness.play("silence", 4)
            await harness.transcriber.started((0, 54))
            await harness.play("silence", 8)
            harness.transcriber.release()
            await harness.settle()
            assert texts(harness.recorder.emotions) == [
                (False, words_of((0, 54))),
                (False, words_of((0, 60))),
            ]

    async def test_candidates_and_finals_do_not_wait_for_a_call_of_a_transcriber_with_two_threads(
        self,
    ) -> None:
        transcriber = TwoThreads()
        async with speaking(transcriber) as harness:
            harness.wait_for_models = False
            await harness.play("speech", 50)
            await harness.play("silence", 4)
            await transcriber.gate.started((0, 54))
            await harness.play("silence", 8)
            candidate = await harness.recorder.emotion(1)
            await harness.play("silence", 20)
            final = await harness.recorder.emotion(2)
            transcriber.release_interim.set()
            await harness.end()
            assert [candidate.final, final.final] == [False, True]
            assert candidate.text == final.text == words_of((0, 60))
            assert len(harness.recorder.emotions) == 2  # the other one has come too late

    @pytest.mark.parametrize("end", ["flush", "end_of_stream"])
    async def test_none_comes_after_the_final(self, end: str) -> None:
        async with speaking() as harness:
            assert harness.transcriber is not None
            harness.transcriber.hold()
            await harness.play("speech", 56)
            await harness.transcriber.started(DUE)
            if end == "flush":
                await harness.flush()
            ending = asyncio.create_task(harness.end())
            await run_loop()
            harness.transcriber.release()
            await ending
            assert texts(harness.recorder.emotions) == [(True, words_of(DUE))]

    async def test_the_budget_is_given_back_whatever_becomes_of_the_analysis(self) -> None:
        async with speaking(SpeakingTranscriber(fails=True)) as harness:
            await harness.play("speech", 110)
            assert len(clips_of(harness)) == 2
            assert [event.text for event in harness.recorder.emotions] == ["", ""]
            assert [event.stable_chars for event in harness.recorder.emotions] == [None, None]
            await harness.flush()
            await harness.settle()
            assert harness.engine.interim_budget.take()


class TestWithout:
    @pytest.mark.parametrize("case", ["incremental", "no transcriber", "interval 0", "no transcripts"])
    async def test_interim_results_are_of_the_audio_alone(self, case: str) -> None:
        transcribers: dict[str, bool | GatedTranscriber] = {
            "incremental": IncrementalTranscriber(),
            "no transcriber": False,
        }
        transcriber = transcribers.get(case, SpeakingTranscriber())
        async with session_harness(
            transcriber=transcriber,
            interim_interval_ms=1_000,
            interim_words_interval_ms=0 if case == "interval 0" else 1_000,
            transcript=case != "no transcripts",
        ) as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 5)
            await harness.play("speech", 5)
            (interim,) = harness.recorder.emotions
            assert (interim.final, interim.text, interim.text_only) == (False, "", None)
            assert interim.stable_chars is None
            if harness.transcriber is not None:
                assert clips_of(harness) == []

    async def test_a_client_that_wants_no_interim_results_gets_no_words_either(self) -> None:
        async with session_harness(
            transcriber=SpeakingTranscriber(), interim_interval_ms=0, interim_words_interval_ms=1_000
        ) as harness:
            await harness.play("speech", 60)
            await harness.play("silence", 12)
            assert harness.recorder.emotions == []
            assert clips_of(harness) == [(0, 70)]
