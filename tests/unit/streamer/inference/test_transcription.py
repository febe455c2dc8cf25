"""Which way a transcriber is asked for words: whole utterances, or those in progress."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from emostream.models import Clip, Transcriber, Transcript
from emostream.streamer.clock import WallClock
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.request import Priority
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
