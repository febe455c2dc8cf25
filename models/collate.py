"""Collation of clips, texts and spans into padded batches, shared by training and serving.

Everything that depends on a single clip (normalisation, the minimum length) happens before padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from .granularity import SpanBatch
from .text_normalization import normalize_text
from .types import Alignment, Samples, Span, Word

QUIETEST: Final = 1e-4
"""Root mean square, -80 dBFS: a clip below it is silence, which is not made as loud as speech."""

VARIANCE_FLOOR: Final = 1e-7
"""As in wav2vec 2.0's feature extractor: digital silence stays silence instead of a division by zero."""


@dataclass(frozen=True, slots=True)
class WaveformSpec:
    """The input format of an audio encoder.

    min_samples, max_samples: the shortest and the longest clip that it accepts; None: any length.
    unit_variance: whether clips are normalised to zero mean and unit variance. level: the root mean square
    that clips are brought to otherwise; None: they stay as they are.
    """

    min_samples: int
    unit_variance: bool = True
    max_samples: int | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class AudioBatch:
    """samples: (B, N) float32, prepared for the encoder's `WaveformSpec`; mask: (B, N); present: (B,)."""

    samples: Tensor
    mask: Tensor
    present: Tensor

    def to(self, device: torch.device) -> AudioBatch:
        return AudioBatch(self.samples.to(device), self.mask.to(device), self.present.to(device))


@dataclass(frozen=True, slots=True)
class TextBatch:
    """ids: (B, T) int64; mask: (B, T) bool; present: (B,) false where there is no text. T >= 1."""

    ids: Tensor
    mask: Tensor
    present: Tensor

    def to(self, device: torch.device) -> TextBatch:
        return TextBatch(self.ids.to(device), self.mask.to(device), self.present.to(device))


def prepare(samples: Samples, spec: WaveformSpec) -> Samples:
    """(N,) -> (N',): NaN and infinity become 0, then zero mean, unit variance.

    A microphone's level carries no emotion. A clip shorter than one frame is padded with silence, one longer
    than the encoder accepts is truncated. An encoder that was trained on unnormalised audio gets the samples
    as they are, within [-1, 1], or at the level of the specification.
    """
    samples = samples[: spec.max_samples]
    clean = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if len(clean):
        # Huge samples would overflow the square; valid audio has none beyond 1.
        peak = float(np.abs(clean).max())
        clean = clean / peak if peak > 1.0 else clean
        if spec.unit_variance:
            clean = (clean - clean.mean()) / np.sqrt(clean.var() + VARIANCE_FLOOR)
        elif spec.level is not None:
            clean = clean * (spec.level / max(QUIETEST, float(np.sqrt((clean**2).mean()))))
    return np.pad(clean, (0, max(0, spec.min_samples - len(clean)))).astype(np.float32)


def collate_audio(clips: Sequence[Samples | None], spec: WaveformSpec) -> AudioBatch:
    """Raw waveforms to a batch; None is an item without audio."""
    silent = np.zeros(0, dtype=np.float32)
    rows = [prepare(silent if clip is None else clip, spec) for clip in clips]
    samples = torch.zeros(len(rows), max((len(row) for row in rows), default=spec.min_samples))
    mask = torch.zeros(samples.shape, dtype=torch.bool)
    for index, row in enumerate(rows):
        samples[index, : len(row)] = torch.from_numpy(row)
        mask[index, : len(row)] = True
    return AudioBatch(samples, mask, torch.tensor([clip is not None for clip in clips], dtype=torch.bool))


def collate_text(texts: Sequence[str | None], tokenizer: Tokenizer, max_tokens: int) -> TextBatch:
    """Any text to a batch of tokens; None and text without words are absent."""
    words = [normalize_text(text) if text else "" for text in texts]
    rows = [_tokens(tokenizer, line, max_tokens) if line else [] for line in words]
    ids = torch.zeros(len(rows), max([1, *map(len, rows)]), dtype=torch.long)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[index, : len(row)] = True
    return TextBatch(ids, mask, torch.tensor([bool(line) for line in words], dtype=torch.bool))


def collate_spans(alignments: Sequence[Alignment], kinds: Sequence[str]) -> dict[str, SpanBatch]:
    """Alignments to one batch of spans for each granularity out of phone, syllable, word."""
    return {kind: _span_batch([_spans_of(alignment, kind) for alignment in alignments]) for kind in kinds}


def _spans_of(alignment: Alignment, kind: str) -> Sequence[Span | Word]:
    by_kind: dict[str, Sequence[Span | Word]] = {
        "phone": alignment.phones,
        "syllable": alignment.syllables,
        "word": alignment.words,
    }
    return by_kind[kind]


def _span_batch(rows: Sequence[Sequence[Span | Word]]) -> SpanBatch:
    bounds = torch.zeros(len(rows), max([1, *map(len, rows)]), 2, dtype=torch.long)
    mask = torch.zeros(bounds.shape[:2], dtype=torch.bool)
    for index, row in enumerate(rows):
        if row:
            bounds[index, : len(row)] = torch.tensor([(span.start, span.end) for span in row])
            mask[index, : len(row)] = True
    return SpanBatch(bounds, mask)


def _tokens(tokenizer: Tokenizer, line: str, max_tokens: int) -> list[int]:
    """Token ids of the line, truncated but with the tokenizer's final special token kept."""
    ids: list[int] = tokenizer.encode(line).ids
    return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]
