"""Which way a transcriber is asked for words: whole utterances, or those in progress."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from emostream.models import Alignment, Clip, Transcriber, Transcript
from emostream.streamer.clock import WallClock
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.pending import PendingLanguage
from emostream.streamer.inference.request import Priority, RequestContext
from tests.support.fakes import FakeRecognizer, FakeTranscriber, voice


class CheapInterim(FakeTranscriber):
    """Has a cheaper way to the words of an utterance in progress."""

    def transcribe_interim(self, clips: Sequence[Clip]) -> list[Transcript]:
        return [Transcript("so far") for _ in clips]


async def text_of(transcriber: Transcriber, priority: Priority) -> str:
    engine = Engine(transcriber, FakeRecognizer(), WallClock())
    async with engine.running():
        request = engine.new_request(priority)
        request.interim_words = priority is Priority.INTERIM
        analysis = await engine.analyse(Clip(voice(500)), request)
    assert analysis.transcript is not None
    return analysis.transcript.text


@pytest.mark.parametrize(
    ("priority", "text"),
    [
        (Priority.FINAL, "500 milliseconds"),
        (Priority.CANDIDATE, "500 milliseconds"),
        (Priority.INTERIM, "so far"),
    ],
)
async def test_only_interim_words_take_the_cheaper_way(priority: Priority, text: str) -> None:
    assert await text_of(CheapInterim(), priority) == text


async def test_a_transcriber_without_a_cheaper_way_is_asked_as_for_a_final() -> None:
    assert await text_of(FakeTranscriber(), Priority.INTERIM) == "500 milliseconds"


class Unaligned(FakeRecognizer):
    """Has nothing to align."""

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        raise AssertionError("expected no call")


async def test_without_words_nothing_is_aligned() -> None:
    engine = Engine(None, Unaligned(), WallClock())
    async with engine.running():
        analysis = await engine.analyse(Clip(voice(500)), engine.new_request(Priority.FINAL))
    assert analysis.words == ()
    assert analysis.prediction is not None


class Detecting(FakeTranscriber):
    """Is certain of Polish on clips of a second or more; else it is the expected language. begun: released by
    each call.
    """

    detects_language = True
    own_language_from_s = 0.8
    concurrent_calls = 2

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, str | None]] = []
        self.begun = threading.Semaphore(0)

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.begun.release()
        self.calls += [(len(clip.samples) // 16, clip.expected_language) for clip in clips]
        results = zip(clips, super().transcribe(clips), strict=True)
        return [
            replace(one, language="pl", language_certain=True)
            if clip.seconds >= 1.0
            else replace(one, language=clip.expected_language or "pl")
            for clip, one in results
        ]


async def languages_of(lengths_ms: Sequence[int], stream: str | None) -> tuple[list[str | None], Detecting]:
    """Of utterances of a recording, requested before the language of the stream is known."""
    transcriber = Detecting()
    engine, language = Engine(transcriber, FakeRecognizer(), WallClock(), recordings=True), PendingLanguage()
    async with engine.running():
        analyses = []
        for length_ms in lengths_ms:
            request = engine.new_request(Priority.FINAL)
            request.language = language
            analyses.append(asyncio.create_task(engine.analyse(Clip(voice(length_ms)), request)))
        for length_ms in lengths_ms:
            assert length_ms < 800 or await asyncio.to_thread(transcriber.begun.acquire, timeout=10)
        language.set(stream)
        transcripts = [(await analysis).transcript for analysis in analyses]
    return [None if one is None else one.language for one in transcripts], transcriber


async def test_a_clip_that_is_certain_of_its_language_does_not_wait_for_that_of_the_stream() -> None:
    languages, transcriber = await languages_of([1_200, 1_000], "de")
    assert languages == ["pl", "pl"]
    assert sorted(transcriber.calls) == [(1_000, None), (1_200, None)]


async def test_a_clip_that_may_be_certain_and_is_not_is_transcribed_again() -> None:
    languages, transcriber = await languages_of([900], "de")
    assert languages == ["de"]
    assert transcriber.calls == [(900, None), (900, "de")]


@pytest.mark.parametrize("stream", [None, "pl"])
async def test_it_is_not_where_the_stream_says_nothing_else(stream: str | None) -> None:
    languages, transcriber = await languages_of([900], stream)
    assert languages == ["pl"]
    assert transcriber.calls == [(900, None)]


async def test_a_short_clip_waits_for_the_language_of_the_stream() -> None:
    languages, transcriber = await languages_of([500], "de")
    assert languages == ["de"]
    assert transcriber.calls == [(500, "de")]


class Meeting(FakeTranscriber):
    """Waits until as many calls as it takes at once have begun."""

    concurrent_calls = 2

    def __init__(self) -> None:
        super().__init__()
        self._all = threading.Barrier(self.concurrent_calls)

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self._all.wait(10)
        return super().transcribe(clips)


async def test_utterances_that_come_at_once_have_all_threads_of_a_transcriber() -> None:
    engine = Engine(Meeting(), FakeRecognizer(), WallClock())
    async with engine.running():
        requests = [engine.new_request(Priority.FINAL) for _ in range(2)]
        analyses = [engine.analyse(Clip(voice(500 + 100 * i)), one) for i, one in enumerate(requests)]
        texts = [one.transcript.text for one in await asyncio.gather(*analyses) if one.transcript]
    assert texts == ["500 milliseconds", "600 milliseconds"]


@pytest.mark.parametrize(("recordings", "queued"), [(1, 4), (2, 2), (8, 2)])
def test_few_recordings_have_more_utterances_on_the_way(recordings: int, queued: int) -> None:
    engine = Engine(Meeting(), FakeRecognizer(), WallClock(), recordings=True)
    assert engine.recordings_at_a_time == 8
    assert engine.utterances_queued(recordings) == queued


async def test_the_load_is_of_all_threads_of_a_model() -> None:
    engine = Engine(Meeting(), FakeRecognizer(), WallClock())
    requests = [engine.new_request(Priority.FINAL) for _ in range(2)]
    async with engine.running():
        await asyncio.gather(*(engine.analyse(Clip(voice(500)), one) for one in requests))
    shares = [seconds() for seconds in engine.capacity.busy_seconds]
    assert [worker.threads for worker in engine.workers] == [1, 1, 2]
    assert shares == [worker.busy_s / worker.threads for worker in engine.workers]


def test_a_call_takes_one_of_the_threads_of_a_model() -> None:
    request = RequestContext()
    request.record_compute(3.0, "asr", threads=2)
    request.record_compute(1.0, "emotion")
    assert request.compute_by_model == {"asr": 1.5, "emotion": 1.0}
    assert request.compute_s == 4.0


@pytest.mark.parametrize("recordings", [True, False])
async def test_threads_take_short_turns_while_recordings_are_analysed(recordings: bool) -> None:
    engine = Engine(None, FakeRecognizer(), WallClock(), recordings=recordings)
    before = sys.getswitchinterval()
    async with engine.running():
        assert (sys.getswitchinterval() < 0.1 * before) is recordings
    assert sys.getswitchinterval() == before
