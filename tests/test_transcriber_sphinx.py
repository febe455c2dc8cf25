"""The PocketSphinx adapter: real words, no memory, no decoder noise in the text, odd input."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from emostream.models.errors import TranscriberError
from emostream.models.transcription.sphinx import SphinxTranscriber
from emostream.models.types import Clip, Samples, Transcript

from .speech import recording

ACTED = [
    ("ravdess/audio/03-01-01-01-01-01-02.flac", "kids are talking by the door"),
    ("ravdess/audio/03-01-02-01-01-01-05.flac", "kids are talking by the door"),
    ("ravdess/audio/03-01-01-01-02-01-09.flac", "dogs are sitting by the door"),
]


@pytest.fixture(scope="module")
def sphinx() -> SphinxTranscriber:
    return SphinxTranscriber()


def hum(seconds: float, seed: int) -> Samples:
    """Buzzing noise that makes the decoder write something: (N,) float32."""
    n = int(seconds * 16_000)
    noise = np.random.default_rng(seed).normal(0.0, 0.02, n)
    buzz = np.sign(np.sin(np.arange(n) / 20.0)) * np.sin(np.arange(n) / 900.0)
    return (0.3 * buzz + noise).astype(np.float32)


def words(transcript: Transcript) -> set[str]:
    return set(transcript.text.split())


def assert_well_formed(clip: Clip, transcript: Transcript) -> None:
    assert transcript.text == " ".join(word.text for word in transcript.words)
    assert not re.search(r"[<\[(+]", transcript.text)
    edges = [edge for word in transcript.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(clip.samples) for edge in edges)
    assert all(word.p is not None and 0.0 <= word.p <= 1.0 for word in transcript.words)


@pytest.mark.data
def test_several_words_of_a_famous_sentence_come_out(sphinx: SphinxTranscriber) -> None:
    clip = Clip(recording("recordings/jfk.flac"))
    (transcript,) = sphinx.transcribe([clip])
    said = "and so my fellow americans ask not what your country can do for you"
    assert len(words(transcript) & set(said.split())) >= 6
    assert transcript.language == "en"
    assert_well_formed(clip, transcript)


@pytest.mark.data
def test_acted_sentences_are_partly_understood(sphinx: SphinxTranscriber) -> None:
    clips = [Clip(recording(name)) for name, _ in ACTED]
    transcripts = sphinx.transcribe(clips)
    found = sum(len(words(t) & set(said.split())) for t, (_, said) in zip(transcripts, ACTED, strict=True))
    assert found >= 9
    for clip, transcript in zip(clips, transcripts, strict=True):
        assert_well_formed(clip, transcript)


@pytest.mark.data
def test_speech_does_not_remember_the_speech_before(sphinx: SphinxTranscriber) -> None:
    loud, clip = Clip(recording("recordings/jfk.flac")[:40_000]), Clip(recording(ACTED[0][0])[12_000:44_000])
    alone = SphinxTranscriber().transcribe([clip])
    assert alone[0].words, "there must be words, or this means nothing"
    assert sphinx.transcribe([loud, clip])[1:] == alone
    assert sphinx.transcribe([clip, clip]) == alone * 2


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.ones(160, np.float32),
        np.zeros(32_000, np.float32),
        np.full(16_000, np.nan, np.float32),
    ],
    ids=["empty", "one sample", "10 ms", "silence", "nothing but NaN"],
)
def test_a_clip_with_nothing_to_hear_has_no_text(sphinx: SphinxTranscriber, samples: Samples) -> None:
    assert sphinx.transcribe([Clip(samples)]) == [Transcript("")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_sound_do_no_harm(sphinx: SphinxTranscriber, value: float) -> None:
    harmed = hum(0.5, 0)
    harmed[::100] = value
    healthy = Clip(hum(0.5, 1))
    before = sphinx.transcribe([healthy])
    assert sphinx.transcribe([Clip(harmed), healthy])[1:] == before


def test_no_clips_no_transcripts(sphinx: SphinxTranscriber) -> None:
    assert sphinx.transcribe([]) == []


def test_another_language_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    transcriber = SphinxTranscriber()
    quiet = np.zeros(800, np.float32)
    with caplog.at_level(logging.WARNING, logger="emostream"):
        transcriber.transcribe([Clip(quiet), Clip(quiet, "en-US"), Clip(quiet, "pl"), Clip(quiet, "de")])
    assert len(caplog.records) == 1
    assert "'pl'" in caplog.records[0].message


def test_a_missing_model_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("Failed to initialize\nPocketSphinx")

    monkeypatch.setattr("pocketsphinx.Decoder", fail)
    with pytest.raises(TranscriberError, match="reinstall pocketsphinx") as caught:
        SphinxTranscriber()
    assert "\n" not in str(caught.value)


def test_its_name_says_the_model(sphinx: SphinxTranscriber) -> None:
    assert sphinx.name == "pocketsphinx en-us"
