"""Every ablation that a flag can ask for, and a small batch with every modality missing once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from emostream.models import Alignment, Span, Word
from emostream.models.collate import AudioBatch, TextBatch, collate_audio, collate_spans, collate_text
from emostream.models.emotion import EmotionModel
from emostream.models.emotion_fields import GRANULARITIES
from emostream.models.granularity import SpanBatch
from tests.support.tiny_emotion import noise, tiny_tokenizer

ABLATIONS: dict[str, dict[str, Any]] = {
    "frame only": {"granularities": ["frame"]},
    "+ word": {"granularities": ["frame", "word"]},
    "+ syllable": {"granularities": ["frame", "word", "syllable"]},
    "+ phone": {"granularities": ["frame", "word", "syllable", "phone"]},
    "words without frames": {"granularities": ["word"]},
    "attentive pooling": {"granularities": ["frame", "phone"], "span_pooling": "attentive"},
    "early only": {"fusion": "early"},
    "late only": {"fusion": "late"},
    "both": {"fusion": "both"},
    "concatenation": {"fusion": "concat", "classifier_dropout": 0.7},
    "early only, all granularities": {"fusion": "early", "granularities": GRANULARITIES},
}

SOUNDS = (noise(16_000, 1), noise(9_000, 2), None, noise(12_000, 4))

TEXTS = ("i am so happy", None, "leave me alone", "the door is open")


def halves(samples: int, words: Sequence[str]) -> Alignment:
    """Even spans: a word is two syllables, a syllable two phones."""
    edges = np.linspace(0, samples, 4 * len(words) + 1).astype(int).tolist()
    return Alignment(
        words=tuple(
            Word(word, a, b) for word, (a, b) in zip(words, itertools.pairwise(edges[::4]), strict=True)
        ),
        syllables=tuple(Span("AH-AH", a, b) for a, b in itertools.pairwise(edges[::2])),
        phones=tuple(Span("AH", a, b) for a, b in itertools.pairwise(edges)),
        method="forced",
    )


def batch(model: EmotionModel, rows: Sequence[int]) -> tuple[AudioBatch, TextBatch, dict[str, SpanBatch]]:
    sounds, texts = [SOUNDS[row] for row in rows], [TEXTS[row] for row in rows]
    alignments = [
        Alignment() if sound is None or text is None else halves(len(sound), text.split())
        for sound, text in zip(sounds, texts, strict=True)
    ]
    return (
        collate_audio(sounds, model.audio_encoder.waveform_spec),
        collate_text(texts, tiny_tokenizer(), model.config.max_tokens),
        collate_spans(alignments, model.config.spans),
    )
