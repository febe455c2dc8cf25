"""The language that a stream has been in: causal, from finals alone, the same live and replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from emostream.models import Clip, SpeechPresence, Transcript
from emostream.streamer.inference.backend import Analysis
from emostream.streamer.pipeline.stream_history import StreamHistory, StreamLanguage
from tests.support.session_harness import GatedTranscriber, session_harness

ANALYSIS = Analysis(None, (), None, None, 0.0, 0.0, 0.0, 0.0)


def analysis(language: str | None, *, certain: bool) -> Analysis:
    return replace(ANALYSIS, transcript=Transcript("words", language, language_certain=certain))


def finish(language: StreamLanguage, *analyses: Analysis | None) -> str | None:
    for one in analyses:
        language.end_final(language.begin_final(), one)
    return language.state


def test_the_language_is_that_of_the_last_final_that_was_certain() -> None:
    assert finish(StreamLanguage()) is None
    assert finish(StreamLanguage(), analysis("pl", certain=False)) is None
    language = StreamLanguage()
    assert finish(language, analysis("pl", certain=True), analysis("cy", certain=False)) == "pl"
    assert finish(language, None, ANALYSIS) == "pl"
    doubtful = replace(analysis("en", certain=True), speech=SpeechPresence(0.6, doubtful=True))
    assert finish(language, doubtful) == "pl"
    assert finish(language, analysis("en", certain=True)) == "en"


async def test_an_utterance_waits_for_the_finals_before_it() -> None:
    history = StreamHistory(None, StreamLanguage())
    before = history.pending
    assert before.baseline is None
    first = history.begin_final()
    after = history.pending
    assert before.language is not None
    assert after.language is not None
    assert await before.language.wait() is None
    history.end_final(first, analysis("pl", certain=True))
    assert await after.language.wait() == "pl"
    assert await before.language.wait() is None


class DetectingTranscriber(GatedTranscriber):
    """Is certain of Polish on clips of a second or more; keeps what was expected of each clip."""

    detects_language = True
    own_language_from_s = 1.5

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[tuple[float, str | None]] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.expected += [(round(clip.seconds, 1), clip.expected_language) for clip in clips]
        return [
            replace(one, language=clip.expected_language or "pl", language_certain=clip.seconds >= 1.0)
            for one, clip in zip(super().transcribe(clips), clips, strict=True)
        ]


@pytest.mark.parametrize("speculate", [True, False])
async def test_a_short_utterance_is_expected_in_the_language_before_it(speculate: bool) -> None:
    transcriber = DetectingTranscriber()
    async with session_harness(transcriber=transcriber, speculate=speculate) as harness:
        for frames in (20, 60, 20):
            await harness.play("speech", frames)
            await harness.play("silence", 30)
        await harness.end()
    assert [language for _, language in transcriber.expected] == [None, None, "pl"]


@pytest.mark.parametrize(("detects", "hint"), [(True, "en"), (False, None)])
async def test_nothing_is_expected_where_nothing_is_detected(detects: bool, hint: str | None) -> None:
    transcriber = DetectingTranscriber()
    transcriber.detects_language = detects
    async with session_harness(transcriber=transcriber, language=hint) as harness:
        for _ in range(2):
            await harness.play("speech", 60)
            await harness.play("silence", 30)
        await harness.end()
    assert [language for _, language in transcriber.expected] == [None, None]
