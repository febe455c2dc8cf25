"""Clips behind the frozen encoders: what every fit reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emostream.models import SAMPLE_RATE_HZ, Alignment, Clip, SpeakerBaseline, Voice, load_aligner
from emostream.models.baseline import BaselineSettings
from emostream.models.checkpoint import Checkpoint
from emostream.models.collate import collate_spans, collate_text
from emostream.models.device import choose_device
from emostream.models.emotion import Baselines, EmotionModel, EncodedModality
from emostream.models.encoders.base import length_mask
from emostream.models.recognizer import EmotionRecognizer

from ..corpora.example import Example
from ..data.audio_cache import cached_audio
from ..data.words import spoken_words

_BATCH: Final = 16
_LONGEST_S: Final = 30.0

ProgressCallback = Callable[[str, int, int], None]
"""Called with the step, how many clips are done, and the total."""


@dataclass(frozen=True, slots=True, eq=False)
class FrozenClip:
    """frames: (T, H) of the audio encoder's mix; tokens: (U, Ht) of the text encoder, U = 0 without words.

    baseline: of its speaker from all of his other clips, and how much of it is his own; None in a model that
    takes none. label: index.
    """

    example: Example
    label: int
    frames: Tensor
    tokens: Tensor
    alignment: Alignment
    baseline: tuple[Tensor, float] | None


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """As `EmotionModel.fuse` takes it. labels: (B,). spans: of the model's granularities."""

    audio: EncodedModality
    text: EncodedModality
    alignments: Sequence[Alignment]
    baselines: Baselines | None
    labels: Tensor

    def logits(self, model: EmotionModel, *, known: bool) -> dict[str, Tensor]:
        """By head. known: with the speakers' baselines."""
        spans = collate_spans(self.alignments, model.config.spans)
        return model.fuse(self.audio, self.text, spans, self.baselines if known else None).logits()

    def audio_logits(self, model: EmotionModel, *, known: bool) -> Tensor:
        """(B, C) of the audio-only head alone, as `EmotionModel.fuse` computes them."""
        features = self.audio.features
        baselines = self.baselines if known else None
        if model.config.baseline is not None:
            mix = model.concatenation
            shifted = features if baselines is None else features - mix.shift(baselines.shifts)[:, None]
            features = mix.activate(shifted)
        return model.classify_audio(model.audio_pool(features, self.audio.mask), baselines)

    def without_words(self) -> ClipBatch:
        nothing = torch.zeros_like(self.text.present)
        text = EncodedModality(torch.zeros_like(self.text.features), self.text.mask & False, nothing)
        return ClipBatch(self.audio, text, [Alignment()] * len(self.labels), self.baselines, self.labels)


def freeze_clips(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    labels: Sequence[int],
    asr: str | None,
    cache: Path,
    on_progress: ProgressCallback,
) -> list[FrozenClip]:
    """Encodes every clip and its words once. asr: see `spoken_words`.

    Silent edges are trimmed as a segmenter does, and no clip is longer than 30 s. Raises CorpusError, which
    lists every file that cannot be used, and TranscriberError.
    """
    model = checkpoint.model
    audio = cached_audio(
        examples, cache / "sounds", on_progress=lambda done, clips: on_progress("reading clips", done, clips)
    )
    words = spoken_words(
        examples, audio, asr, cache, lambda done, clips: on_progress("transcribing", done, clips)
    )
    aligner = load_aligner(optional=True) if model.config.spans else None
    recognizer = EmotionRecognizer(checkpoint, choose_device("cpu"), aligner=aligner)
    longest = int(_LONGEST_S * SAMPLE_RATE_HZ)
    frames: list[Tensor] = []
    voices: list[Voice | None] = []
    alignments: list[Alignment] = []
    for start in range(0, len(examples), _BATCH):
        part = examples[start : start + _BATCH]
        clips = [Clip(audio.clip(example.key)[:longest]) for example in part]
        for code in recognizer.encode(clips):
            frames.append(code.frames.clone())
            voices.append(code.voice)
        alignments += recognizer.align(clips, [words.get(example.key) for example in part])
        on_progress("encoding clips", start + len(part), len(examples))
    baselines = _baselines(examples, voices, model)
    return [
        FrozenClip(
            example,
            label,
            frames[row],
            _tokens(checkpoint, words[example.key].text if example.key in words else ""),
            alignments[row],
            baselines[row],
        )
        for row, (example, label) in enumerate(zip(examples, labels, strict=True))
    ]


@torch.inference_mode()
def _tokens(checkpoint: Checkpoint, text: str) -> Tensor:
    batch = collate_text([text], checkpoint.tokenizer, checkpoint.model.config.max_tokens)
    encoded = checkpoint.model.encode_text(batch)
    return encoded.features[0][encoded.mask[0]].clone()


def _baselines(
    examples: Sequence[Example], voices: Sequence[Voice | None], model: EmotionModel
) -> list[tuple[Tensor, float] | None]:
    """From all other clips of the speaker; clips of unknown speakers count as one person's."""
    if model.config.baseline is None:
        return [None] * len(examples)
    settings = BaselineSettings.from_fields(model.config.baseline)
    totals: dict[str, npt.NDArray[np.float64]] = {}
    counts = Counter(example.speaker for example in examples)
    for example, voice in zip(examples, voices, strict=True):
        assert voice is not None
        before = totals.get(example.speaker, np.zeros(voice.shape))
        totals[example.speaker] = before + voice
    found: list[tuple[Tensor, float] | None] = []
    for example, voice in zip(examples, voices, strict=True):
        assert voice is not None
        others = counts[example.speaker] - 1
        state = SpeakerBaseline(totals[example.speaker] - voice, float(others), others)
        shift = state.voice(settings)
        assert shift is not None
        found.append((torch.from_numpy(shift), state.known_share(settings)))
    return found


def batches_of(clips: Sequence[FrozenClip], size: int) -> list[tuple[list[int], ClipBatch]]:
    """Rows and batch, clips of like length together."""
    order = sorted(range(len(clips)), key=lambda row: len(clips[row].frames))
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    return [(part, collate_clips([clips[row] for row in part])) for part in parts]


def collate_clips(clips: Sequence[FrozenClip]) -> ClipBatch:
    baselines = None
    if clips[0].baseline is not None:
        known = [clip.baseline for clip in clips if clip.baseline is not None]
        baselines = Baselines(
            torch.stack([shift for shift, _ in known]), torch.tensor([share for _, share in known])
        )
    return ClipBatch(
        _padded([clip.frames for clip in clips]),
        _padded([clip.tokens for clip in clips]),
        [clip.alignment for clip in clips],
        baselines,
        torch.tensor([clip.label for clip in clips]),
    )


def _padded(rows: Sequence[Tensor]) -> EncodedModality:
    counts = torch.tensor([len(row) for row in rows])
    features = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    if not features.shape[1]:
        features = features.new_zeros(len(rows), 1, features.shape[2])
    return EncodedModality(features, length_mask(counts, features.shape[1]), counts > 0)
