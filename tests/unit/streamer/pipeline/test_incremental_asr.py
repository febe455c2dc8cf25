"""Incremental transcription of the utterance so far; `session_harness` moves the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import pairwise

import pytest

from emostream.models import Clip, Transcript
from emostream.streamer.inference.request import Priority
from tests.support.session_harness import OTHER_CLIP, IncrementalTranscriber, run_loop, session_harness

# A second of speech is confirmed with frame 9 at the latest; its candidate exists from frame 59 on, see
# test_session_speculation.
SECOND = (0, 60)


async def test_it_gets_the_utterance_so_far_every_100_ms_until_the_pause() -> None:
    transcriber = IncrementalTranscriber()
    async with session_harness(transcriber=transcriber) as harness:
        await harness.play("speech", 50)
        await harness.play("silence", 30)
        await harness.end()
    clips = transcriber.partial.clips
    assert {first for first, _ in clips} == {0}
    ends = [end for _, end in clips]
    assert len(ends) >= 4
    assert {after - before for before, after in pairwise(ends)} == {5}
    assert ends[-1] < SECOND[1]
    assert transcriber.gate.clips == [SECOND]


async def test_speech_that_resumes_is_passed_with_its_beginning() -> None:
    transcriber = IncrementalTranscriber()
    async with session_harness(transcriber=transcriber) as harness:
        await harness.play("speech", 50)
        await harness.play("silence", 12)
        before = len(transcriber.partial.clips)
        await harness.play("speech", 30)
        await harness.play("silence", 30)
        await harness.end()
    later = transcriber.partial.clips[before:]
    assert later
    assert all(first == 0 and end > 62 for first, end in later)


async def test_a_call_that_still_waits_when_the_pause_begins_is_cancelled() -> None:
    """Otherwise the transcriber would start again on the beginning of a clip that it has just transcribed."""
    transcriber = IncrementalTranscriber()
    async with session_harness(transcriber=transcriber) as harness:
        assert harness.transcriber is not None
        await harness.occupy(harness.transcriber)
        await harness.play("speech", 50)
        await harness.play("silence", 10)
        harness.transcriber.release()
        await harness.settle()
        await harness.play("silence", 20)
        await harness.end()
    assert transcriber.partial.clips == []
    assert transcriber.gate.clips[-1] == SECOND


@pytest.mark.parametrize("end", ["flush", "max_length", "end_of_stream"])
async def test_a_call_that_still_waits_at_any_other_end_is_cancelled(end: str) -> None:
    transcriber = IncrementalTranscriber()
    async with session_harness(transcriber=transcriber, max_utterance_ms=2_000) as harness:
        assert harness.transcriber is not None
        await harness.occupy(harness.transcriber)
        await harness.play("speech", 99)
        if end == "flush":
            await harness.flush()
        elif end == "max_length":
            await harness.play("speech", 1)
        ending = asyncio.create_task(harness.end()) if end == "end_of_stream" else None
        await run_loop()
        harness.transcriber.release()
        await harness.settle()
        if ending is None:
            await harness.end()
        else:
            await ending
    assert not [clip for clip in transcriber.partial.clips if clip[0] == 0]


async def test_no_second_call_while_one_is_running() -> None:
    transcriber = IncrementalTranscriber()
    async with session_harness(transcriber=transcriber) as harness:
        transcriber.partial.hold()
        await harness.play("speech", 45)
        await transcriber.partial.first_call()
        assert len(transcriber.partial.clips) == 1
        transcriber.partial.release()
        await harness.settle()
        await harness.play("speech", 15)
        assert len(transcriber.partial.clips) >= 2


async def test_finals_of_other_streams_go_first() -> None:
    order: list[str] = []

    class OrderRecorder(IncrementalTranscriber):
        def transcribe_partial(self, clip: Clip) -> None:
            order.append("partial")

        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            order.extend("final" for _ in clips)
            return super().transcribe(clips)

    async with session_harness(transcriber=OrderRecorder()) as harness:
        assert harness.transcriber is not None
        await harness.occupy(harness.transcriber)
        await harness.play("speech", 45)
        later = harness.other_request(OTHER_CLIP, Priority.FINAL)
        await run_loop()
        harness.transcriber.release()
        await later
        await harness.settle()
    assert order == ["final", "final", "partial"]


async def test_without_speculation_there_is_none() -> None:
    transcriber = IncrementalTranscriber()
    async with session_harness(transcriber=transcriber, speculate=False) as harness:
        await harness.play("speech", 50)
        await harness.play("silence", 30)
        await harness.end()
    assert transcriber.partial.clips == []
    assert transcriber.gate.clips == [SECOND]


async def test_a_failure_loses_no_words(caplog: pytest.LogCaptureFixture) -> None:
    class FailingTranscriber(IncrementalTranscriber):
        def transcribe_partial(self, clip: Clip) -> None:
            raise RuntimeError("no memory")

    with caplog.at_level(logging.WARNING):
        async with session_harness(transcriber=FailingTranscriber()) as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 30)
            final = await harness.recorder.emotion(1)
            await harness.end()
    assert final.text == "1200 milliseconds"
    assert "no memory" in caplog.text
