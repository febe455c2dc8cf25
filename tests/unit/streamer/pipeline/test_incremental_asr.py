"""A transcriber that hears ahead is shown the utterance so far; see `stage` for who moves the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import pairwise

import pytest

from emostream.models import Clip, Transcript
from emostream.streamer.inference.request import Priority
from tests.support.session_harness import NEIGHBOUR, KeenWords, on_stage, turns

# A second of speech is certain with frame 9 at the latest; its candidate stands with frame 59, see
# test_session_speculation.
SECOND = (0, 60)


async def test_it_is_shown_all_so_far_every_100_ms_until_the_pause() -> None:
    words = KeenWords()
    async with on_stage(words=words) as stage:
        await stage.hear("speech", 50)
        await stage.hear("silence", 30)
        await stage.end()
    shown = words.listened.heard
    assert {first for first, _ in shown} == {0}
    ends = [end for _, end in shown]
    assert len(ends) >= 4
    assert {later - sooner for sooner, later in pairwise(ends)} == {5}
    assert ends[-1] < SECOND[1]
    assert words.gate.heard == [SECOND]


async def test_speech_that_resumes_is_shown_with_its_beginning() -> None:
    words = KeenWords()
    async with on_stage(words=words) as stage:
        await stage.hear("speech", 50)
        await stage.hear("silence", 12)
        before = len(words.listened.heard)
        await stage.hear("speech", 30)
        await stage.hear("silence", 30)
        await stage.end()
    later = words.listened.heard[before:]
    assert later
    assert all(first == 0 and end > 62 for first, end in later)


async def test_whoever_still_waits_when_the_pause_begins_gives_way() -> None:
    """Else the transcriber would begin anew on a beginning whose end it has just written."""
    words = KeenWords()
    async with on_stage(words=words) as stage:
        assert stage.words is not None
        await stage.occupy(stage.words)
        await stage.hear("speech", 50)
        await stage.hear("silence", 10)
        stage.words.release()
        await stage.quiet()
        await stage.hear("silence", 20)
        await stage.end()
    assert words.listened.heard == []
    assert words.gate.heard[-1] == SECOND


@pytest.mark.parametrize("end", ["flush", "max_length", "end_of_stream"])
async def test_whoever_still_waits_at_any_other_end_gives_way_too(end: str) -> None:
    words = KeenWords()
    async with on_stage(words=words, max_utterance_ms=2_000) as stage:
        assert stage.words is not None
        await stage.occupy(stage.words)
        await stage.hear("speech", 99)
        if end == "flush":
            await stage.flush()
        elif end == "max_length":
            await stage.hear("speech", 1)
        ending = asyncio.create_task(stage.end()) if end == "end_of_stream" else None
        await turns()
        stage.words.release()
        await stage.quiet()
        if ending is None:
            await stage.end()
        else:
            await ending
    assert not [one for one in words.listened.heard if one[0] == 0]


async def test_no_second_call_while_one_is_under_way() -> None:
    words = KeenWords()
    async with on_stage(words=words) as stage:
        words.listened.hold()
        await stage.hear("speech", 45)
        await words.listened.anything()
        assert len(words.listened.heard) == 1
        words.listened.release()
        await stage.quiet()
        await stage.hear("speech", 15)
        assert len(words.listened.heard) >= 2


async def test_finals_of_others_go_first() -> None:
    order: list[str] = []

    class Noting(KeenWords):
        def transcribe_partial(self, clip: Clip) -> None:
            order.append("listen")

        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            order.extend("final" for _ in clips)
            return super().transcribe(clips)

    async with on_stage(words=Noting()) as stage:
        assert stage.words is not None
        await stage.occupy(stage.words)
        await stage.hear("speech", 45)
        later = stage.neighbour(NEIGHBOUR, Priority.FINAL)
        await turns()
        stage.words.release()
        await later
        await stage.quiet()
    assert order == ["final", "final", "listen"]


async def test_it_is_not_shown_where_nothing_is_done_ahead_of_time() -> None:
    words = KeenWords()
    async with on_stage(words=words, speculate=False) as stage:
        await stage.hear("speech", 50)
        await stage.hear("silence", 30)
        await stage.end()
    assert words.listened.heard == []
    assert words.gate.heard == [SECOND]


async def test_a_failure_costs_no_words(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(KeenWords):
        def transcribe_partial(self, clip: Clip) -> None:
            raise RuntimeError("stumbled")

    with caplog.at_level(logging.WARNING):
        async with on_stage(words=Clumsy()) as stage:
            await stage.hear("speech", 50)
            await stage.hear("silence", 30)
            final = await stage.paper.emotion(1)
            await stage.end()
    assert final.text == "1200 milliseconds"
    assert "stumbled" in caplog.text
