"""`python -m benchmarks.languages FOLDER --data ../shared/data`: the language of short clips.

FOLDER: a multilingual faster-whisper model. Beginnings of utterances of several lengths, by corpus: how often
another language is the likeliest, how often with the probability that is needed to believe it, and how often
after `choose_language`, in a stream whose language is known and in one that begins with the clip.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.word_sounds import cut_to_speech
from emostream.models.transcription.language_detection import MIN_PROBABILITY, choose_language
from emostream.models.transcription.whisper import WhisperTranscriber
from emostream.models.transcription.whisper_window import window_for
from emostream.models.types import SAMPLE_RATE_HZ, Samples
from emostream.training.data.audio_cache import read_clip

SPEECH_S: Final = (0.7, 1.0, 1.5, 2.5)
MARGIN_S: Final = 0.2
"""Of quiet before and after the speech, as a segmenter leaves it."""


@dataclass(frozen=True)
class Corpus:
    """manifest: within the data folder, with paths relative to it. clips: how many are drawn."""

    name: str
    language: str
    manifest: str
    clips: int


CORPORA: Final = (
    Corpus("ravdess", "en", "manifest.csv", 24),
    Corpus("crema_d", "en", "crema_d/manifest.csv", 24),
    Corpus("librispeech", "en", "librispeech/manifest.csv", 24),
    Corpus("nemo", "pl", "manifest.csv", 16),
    Corpus("aesdd", "el", "aesdd/manifest.csv", 8),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages", description=__doc__)
    parser.add_argument("folder", type=Path, help="a multilingual faster-whisper model")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the corpora")
    arguments = parser.parse_args()
    whisper = WhisperTranscriber.load(
        arguments.folder, label=arguments.folder.name, device="cpu", cpu_threads=1
    )
    counts = (
        "another language likeliest",
        "with enough probability",
        "chosen in a stream",
        "at its beginning",
    )
    columns = ("corpus", "speech s", "clips", *counts)
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for corpus in CORPORA:
        utterances = list(_utterances(arguments.data, corpus))
        for seconds in SPEECH_S:
            clips = [part for one in utterances if (part := _beginning(one, seconds)) is not None]
            print(_row(whisper, corpus, seconds, clips), flush=True)


def _row(whisper: WhisperTranscriber, corpus: Corpus, seconds: float, clips: list[Samples]) -> str:
    likeliest = believed = known = cold = 0
    for clip in clips:
        duration_s = len(clip) / SAMPLE_RATE_HZ
        decoder = whisper._decoder
        encoded = decoder.encode([clip], window_for(duration_s) * decoder.frames_per_second)
        (ranking,) = decoder.detect_languages(encoded)
        code, probability = ranking[0]
        likeliest += code != corpus.language
        believed += code != corpus.language and probability >= MIN_PROBABILITY
        known += choose_language(ranking, duration_s, corpus.language).code != corpus.language
        cold += choose_language(ranking, duration_s, None).code != corpus.language
    counts = (likeliest, believed, known, cold)
    return (
        f"| {corpus.name} ({corpus.language}) | {seconds:g} | {len(clips)} | "
        + " | ".join(f"{count}" for count in counts)
        + " |"
    )


def _utterances(data: Path, corpus: Corpus) -> Iterator[Samples]:
    manifest = data / corpus.manifest
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("corpus", corpus.name) == corpus.name]
    rows = [row for row in rows if not row.get("dup_of")]
    for index in np.random.default_rng(1).choice(len(rows), corpus.clips, replace=False):
        yield cut_to_speech(read_clip(manifest.parent / rows[index]["path"]))


def _beginning(utterance: Samples, seconds: float) -> Samples | None:
    """So much speech between two margins; None of an utterance that is shorter."""
    end = round((MARGIN_S + seconds) * SAMPLE_RATE_HZ)
    if len(utterance) < end:
        return None
    noise = np.random.default_rng(0).normal(0.0, 1e-4, round(MARGIN_S * SAMPLE_RATE_HZ))
    return np.concatenate([utterance[:end], noise.astype(np.float32)])


if __name__ == "__main__":
    main()
