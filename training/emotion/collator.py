"""Examples to tensors: as they are, or as a training example may turn out in one epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emostream.models import SAMPLE_RATE_HZ, Alignment, Samples
from emostream.models.collate import (
    AudioBatch,
    TextBatch,
    WaveformSpec,
    collate_audio,
    collate_spans,
    collate_text,
)
from emostream.models.emotion import EmotionModel, EncodedModality
from emostream.models.granularity import SpanBatch

from ..augmentation.pipeline import augment, augment_text
from ..corpora.example import Example
from ..data.alignments import moved
from ..trainer.seeding import example_rng
from .inputs import NO_ALIGNMENT, TrainingInputs, input_text
from .settings import DataSettings


@dataclass(frozen=True, slots=True)
class FrozenBatch:
    """What a frozen encoder said: states (B, L, T, H) float16; mask: (B, T); present: (B,)."""

    states: Tensor
    mask: Tensor
    present: Tensor

    def to(self, device: torch.device) -> FrozenBatch:
        return FrozenBatch(self.states.to(device), self.mask.to(device), self.present.to(device))

    @classmethod
    def of(cls, rows: Sequence[Tensor | None], layers: int, width: int) -> FrozenBatch:
        """States (L, T, H) of every row, None where absent."""
        lengths = [0 if row is None else row.shape[1] for row in rows]
        states = torch.zeros(len(rows), layers, max(1, *lengths), width, dtype=torch.float16)
        for index, row in enumerate(rows):
            if row is not None:
                states[index, :, : row.shape[1]] = row
        mask = torch.arange(states.shape[2]) < torch.tensor(lengths)[:, None]
        return cls(states, mask, torch.tensor([row is not None for row in rows]))


@dataclass(frozen=True, slots=True)
class EmotionBatch:
    """labels: (B,) int64. counted: (B,) false for a row that is in no loss."""

    audio: AudioBatch | FrozenBatch
    text: TextBatch | FrozenBatch
    spans: Mapping[str, SpanBatch]
    labels: Tensor
    counted: Tensor

    def to(self, device: torch.device) -> EmotionBatch:
        return EmotionBatch(
            self.audio.to(device),
            self.text.to(device),
            {kind: spans.to(device) for kind, spans in self.spans.items()},
            self.labels.to(device),
            self.counted.to(device),
        )


@dataclass(frozen=True, slots=True)
class _Item:
    """One row to be. sound, words: samples and text, or states (L, T, H) of frozen encoders; None: absent."""

    sound: Samples | Tensor | None
    words: str | Tensor | None
    alignment: Alignment


class Collator:
    """Makes batches for one model."""

    def __init__(
        self, inputs: TrainingInputs, settings: DataSettings, model: EmotionModel, labels: Mapping[str, int]
    ) -> None:
        """labels: key of the example -> number of its label."""
        self._material = inputs
        self._settings = settings
        self._read = None if inputs.read is None else inputs.read.get(settings.text_source)
        self._labels = labels
        self._spans = model.config.spans
        self._max_tokens = model.config.max_tokens
        self._waveform: WaveformSpec = model.audio_encoder.waveform_spec
        self._step = model.audio_encoder.step
        self._sizes = (
            (model.audio_encoder.states, model.audio_encoder.state_size),
            (model.text_encoder.states, model.text_encoder.state_size),
        )

    def training(
        self, examples: Sequence[Example], counted: Sequence[bool], seed: int, epoch: int
    ) -> EmotionBatch:
        """As each example turns out in this epoch: its draws depend on seed, epoch and key alone."""
        items = [self._varied(example, example_rng(seed, epoch, example.key)) for example in examples]
        return self._collate(items, examples, counted)

    def length(self, example: Example) -> float:
        """Seconds of sound, about, or of words where there is none: what a batch is sorted by."""
        if example.path is None or not self._settings.use_audio:
            return len(input_text(example, self._settings.text_source, self._material.transcripts)) / 15
        start, end = self._material.sounds.spans[example.key]
        return (end - start) / SAMPLE_RATE_HZ

    def judging(self, examples: Sequence[Example]) -> EmotionBatch:
        """Everything as it is."""
        items = [self._item(example, 0, 0) for example in examples]
        return self._collate(items, examples, [True] * len(examples))

    def _item(self, example: Example, heard: int, read: int) -> _Item:
        """The example in these views of its sound and of its words."""
        words = self._words(example, read)
        sound, alignment = self._sound(example, heard)
        # Without words nobody knows where they lie, in serving too.
        return _Item(sound, words, alignment if words is not None else NO_ALIGNMENT)

    def _sound(self, example: Example, view: int) -> tuple[Samples | Tensor | None, Alignment]:
        if example.path is None or not self._settings.use_audio:
            return None, NO_ALIGNMENT
        if self._material.heard is not None:
            return self._material.heard.view(example.key, view)
        samples = self._material.sounds.clip(example.key)
        return samples, self._material.alignments.get(example.key, NO_ALIGNMENT)

    def _words(self, example: Example, view: int) -> str | Tensor | None:
        words = input_text(example, self._settings.text_source, self._material.transcripts)
        if not words:
            return None
        if self._read is not None:
            return self._read.view(example.key, view)[0]
        return words

    def _varied(self, example: Example, rng: np.random.Generator) -> _Item:
        luck, (heard, read) = rng.random(), rng.integers(self._settings.views, size=2)
        dropped = self._dropped(self._item(example, int(heard), int(read)), luck)
        if isinstance(dropped.sound, np.ndarray):
            samples, alignment = augment(dropped.sound, dropped.alignment, self._settings.augment, rng)
            dropped = _Item(samples, dropped.words, alignment)
        if isinstance(dropped.words, str):
            words = augment_text(dropped.words, self._settings.augment, rng)
            dropped = _Item(dropped.sound, words, dropped.alignment)
        return self._cut(dropped, rng)

    def _dropped(self, item: _Item, luck: float) -> _Item:
        """Without its words, or its sound, where it has both and luck says so."""
        if item.sound is None or item.words is None:
            return item
        if luck < self._settings.drop_text:
            return _Item(item.sound, None, NO_ALIGNMENT)
        if luck < self._settings.drop_text + self._settings.drop_audio:
            return _Item(None, item.words, NO_ALIGNMENT)
        return item

    def _cut(self, item: _Item, rng: np.random.Generator) -> _Item:
        """A window of at most `max_seconds`, anywhere in the clip; or some of the frames, all over it."""
        if item.sound is None:
            return item
        if isinstance(item.sound, Tensor) and 0 < self._settings.frames_per_clip < item.sound.shape[1]:
            drawn = np.sort(rng.choice(item.sound.shape[1], self._settings.frames_per_clip, replace=False))
            return _Item(item.sound[:, torch.from_numpy(drawn)], item.words, NO_ALIGNMENT)
        frozen = isinstance(item.sound, Tensor)
        length = item.sound.shape[1] if frozen else len(item.sound)
        step = self._step if frozen else 1
        limit = max(1, int(self._settings.max_seconds * SAMPLE_RATE_HZ / step))
        if length <= limit:
            return item
        start = int(rng.integers(0, length - limit + 1))
        sound = item.sound[:, start : start + limit] if frozen else item.sound[start : start + limit]
        return _Item(sound, item.words, moved(item.alignment, 1.0, -start * step))

    def _collate(
        self, items: Sequence[_Item], examples: Sequence[Example], counted: Sequence[bool]
    ) -> EmotionBatch:
        heard = [item.sound for item in items]
        read = [item.words for item in items]
        audio = (
            collate_audio(heard, self._waveform)  # type: ignore[arg-type]
            if self._material.heard is None
            else FrozenBatch.of(heard, *self._sizes[0])  # type: ignore[arg-type]
        )
        text = (
            collate_text(read, self._material.tokenizer, self._max_tokens)  # type: ignore[arg-type]
            if self._read is None
            else FrozenBatch.of(read, *self._sizes[1])  # type: ignore[arg-type]
        )
        return EmotionBatch(
            audio,
            text,
            collate_spans([item.alignment for item in items], self._spans),
            torch.tensor([self._labels[example.key] for example in examples]),
            torch.tensor(list(counted)),
        )


def encode_audio(model: EmotionModel, audio: AudioBatch | FrozenBatch) -> EncodedModality:
    """Through the encoder, or only through the mix of its layers where it is frozen."""
    if isinstance(audio, AudioBatch):
        return model.encode_audio(audio)
    return EncodedModality(_mixed(model.audio_encoder.mix, audio.states), audio.mask, audio.present)


def encode_text(model: EmotionModel, text: TextBatch | FrozenBatch) -> EncodedModality:
    """The same of the words."""
    if isinstance(text, TextBatch):
        return model.encode_text(text)
    return EncodedModality(_mixed(model.text_encoder.mix, text.states), text.mask, text.present)


def _mixed(mix: torch.nn.Module, states: Tensor) -> Tensor:
    """states: (B, L, T, H) -> (B, T, H) float32."""
    features: Tensor = mix([layer.float() for layer in states.unbind(1)])
    return features
