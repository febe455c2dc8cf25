"""Whisper at its real cost on clean synthetic speech: words are recognized, runaway text is removed.

Runaway text needs a stand-in whose token table was learned again; the rest runs on the real tiny.en.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from emostream.models.transcription.factory import create_transcriber
from emostream.models.transcription.hallucination import compression_ratio
from emostream.models.transcription.whisper import WhisperTranscriber
from emostream.models.transcription.whisper_loader import load_whisper_model
from emostream.models.transcription.whisper_options import WhisperOptions
from emostream.models.types import Clip, Samples, Transcript
from tests.support.speech import spoken, weights
from tests.support.tiny_whisper import BELIEVE_ALL
from tests.support.whisper_weights import packaged_whisper

SENTENCES = (
    "I can't believe you did that to me, it makes me so angry.",
    "The weather is lovely today and I am very happy.",
    "I miss my old friend so much, nothing is the same without him.",
)
VOICES = ("slt", "rms")

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def whisper() -> WhisperTranscriber:
    transcriber = create_transcriber(str(packaged_whisper("tiny.en")), device="cpu", cpu_threads=2)
    assert isinstance(transcriber, WhisperTranscriber)
    return transcriber


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Samples]]:
    folder = tmp_path_factory.mktemp("voices")
    return [(text, spoken(text, voice, folder)) for text in SENTENCES for voice in VOICES]


@pytest.fixture(scope="module")
def transcripts(whisper: WhisperTranscriber, speech: list[tuple[str, Samples]]) -> list[Transcript]:
    return whisper.transcribe([Clip(samples) for _, samples in speech])


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_the_words_of_clean_speech_are_recognized(
    speech: list[tuple[str, Samples]], transcripts: list[Transcript]
) -> None:
    wanted = [(word, i) for i, (text, _) in enumerate(speech) for word in plain(text)]
    written = [set(plain(t.text)) for t in transcripts]
    recall = sum(word in written[i] for word, i in wanted) / len(wanted)
    assert recall >= 0.9


def test_word_times_are_inside_the_speech(
    speech: list[tuple[str, Samples]], transcripts: list[Transcript]
) -> None:
    for (_, samples), transcript in zip(speech, transcripts, strict=True):
        loud = np.flatnonzero(np.abs(samples) > 0.02)
        assert transcript.words[0].start <= loud[0] + 3_200
        assert abs(transcript.words[-1].end - loud[-1]) < 6_400
        middles = [(word.start + word.end) / 2 for word in transcript.words]
        assert middles == sorted(middles)


def test_batched_transcripts_equal_single_ones(
    whisper: WhisperTranscriber, speech: list[tuple[str, Samples]], transcripts: list[Transcript]
) -> None:
    for (_, samples), together in list(zip(speech, transcripts, strict=True))[:2]:
        (alone,) = whisper.transcribe([Clip(samples)])
        assert (alone.text, alone.rejected) == (together.text, together.rejected)
        assert [(w.text, w.start, w.end) for w in alone.words] == [
            (w.text, w.start, w.end) for w in together.words
        ]


def test_runaway_repetitions_are_removed(whisper: WhisperTranscriber, tmp_path: Path) -> None:
    lost = Clip(spoken("She was walking slowly along the river with her dog.", "slt", tmp_path))
    noise = Clip(np.random.default_rng(0).normal(0.0, 0.02, 48_000).astype(np.float32))
    options = WhisperOptions("cpu", "int8", cpu_threads=2)
    model = load_whisper_model(weights("whisper-tiny.en-relearned"), options)
    unguarded = WhisperTranscriber(model, "unguarded", BELIEVE_ALL).transcribe([lost])
    assert compression_ratio(unguarded[0].text) > 2.4, "the model must run away, or this means nothing"
    cut, nothing = whisper.transcribe([lost, noise])
    assert cut.text.startswith("She was")
    assert len(cut.words) == len(cut.text.split()) < 8
    assert cut.rejected is None
    assert (nothing.text, nothing.words, nothing.rejected) == ("", (), "repetition")
