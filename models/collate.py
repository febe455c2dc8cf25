"""Collation of clips, texts and spans into padded batches, shared by training and serving.

Everything that depends on a single clip (normalisation, the minimum length) happens before, in `inputs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from .granularity import SpanBatch
from .inputs import WaveformSpec, prepare, token_ids
from .types import Alignment, Samples, Span, Word


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
    rows = [token_ids(text, tokenizer, max_tokens) for text in texts]
    ids = torch.zeros(len(rows), max([1, *map(len, rows)]), dtype=torch.long)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[index, : len(row)] = True
    return TextBatch(ids, mask, torch.tensor([bool(row) for row in rows], dtype=torch.bool))


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
