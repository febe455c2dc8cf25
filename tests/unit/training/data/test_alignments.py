"""Alignments of training clips: computed once, shifted with the clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from emostream.models import LABELS, Alignment, Clip, Span, Transcript, Word
from emostream.training.corpora.example import Example
from emostream.training.data.alignments import Alignments, cached_alignments, shift_alignment
from emostream.training.data.audio_cache import AudioCache
from tests.support.tiny_emotion import noise

SECOND = 16_000
CLIPS = [
    Example(
        corpus="c",
        key=f"{i}.flac",
        speaker=f"s{i}",
        emotion=LABELS[i % 4],
        emotion_orig="",
        split="train",
        words="so happy" if i else "",
    )
    for i in range(8)
]


def audio_cache() -> AudioCache:
    pieces = [(8_000 * noise(SECOND, seed, level=1.0)).astype(np.int16) for seed in range(len(CLIPS))]
    spans = {clip.key: (i * SECOND, (i + 1) * SECOND) for i, clip in enumerate(CLIPS)}
    return AudioCache(np.concatenate(pieces), spans)


def halves(samples: int) -> Alignment:
    half = samples // 2
    return Alignment(
        (Word("so", 0, half), Word("happy", half, samples)),
        (Span("S-OW", 0, half), Span("HH-AE-P-IY", half, samples)),
        (Span("S", 0, half), Span("OW", half, samples)),
        "forced",
    )


def test_every_tier_is_shifted() -> None:
    after = shift_alignment(halves(1_000), 2.0, -100)
    assert [(x.start, x.end) for x in after.words] == [(-100, 150), (150, 400)]
    assert [(x.text, x.start, x.end) for x in after.syllables] == [
        ("S-OW", -100, 150),
        ("HH-AE-P-IY", 150, 400),
    ]
    assert [(x.start, x.end) for x in after.phones] == [(-100, 150), (150, 400)]


class CountingAligner:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        self.texts += [transcript.text for transcript in transcripts if transcript]
        return [halves(len(clip.samples)) for clip in clips]


def test_clips_with_words_are_aligned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aligner = CountingAligner()
    monkeypatch.setattr("emostream.training.data.alignments.load_aligner", lambda: aligner)
    spoken = {clip.key: Transcript(clip.english, "en") for clip in CLIPS if clip.english}
    progress: list[tuple[int, int]] = []

    def cached(spoken: dict[str, Transcript]) -> Alignments:
        return cached_alignments(spoken, audio_cache(), tmp_path, lambda *done: progress.append(done))

    found = cached(spoken)
    assert progress == [(7, 7)]
    assert set(found) == {clip.key for clip in CLIPS[1:]}
    assert found["1.flac"] == halves(SECOND)
    assert cached(spoken) == found
    assert aligner.texts == ["so happy"] * 7
    cached({name: spoken[name] for name in ("1.flac", "2.flac")})
    assert len(aligner.texts) == 9
