"""Examples to batches of tensors: unchanged for evaluation, augmented for a training epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emostream.models import SAMPLE_RATE_HZ, Alignment, Samples
from emostream.models.collate import AudioBatch, TextBatch, collate_audio, collate_spans, collate_text
from emostream.models.emotion import EmotionModel, EncodedModality
from emostream.models.granularity import SpanBatch
from emostream.models.inputs import WaveformSpec

from ..augmentation.confusions import confusions_of
from ..augmentation.pipeline import augment, augment_text, longest_augmented_s
from ..corpora.example import Example
from ..data.alignments import shift_alignment
from ..trainer.seeding import example_rng
from .inputs import NO_ALIGNMENT, TrainingInputs, input_text
from .settings import DataSettings
from .text_window import Window, text_inside


@dataclass(frozen=True, slots=True)
class FrozenBatch:
    """Outputs of a frozen encoder. states: (B, L, T, H) float16; mask: (B, T); present: (B,)."""

    states: Tensor
    mask: Tensor
    present: Tensor

    def to(self, device: torch.device) -> FrozenBatch:
        return FrozenBatch(self.states.to(device), self.mask.to(device), self.present.to(device))

    @classmethod
    def from_rows(cls, rows: Sequence[Tensor | None], layers: int, width: int) -> FrozenBatch:
        """rows: states (L, T, H) of each row; None where the modality is absent."""
        lengths = [0 if row is None else row.shape[1] for row in rows]
        states = torch.zeros(len(rows), layers, max(1, *lengths), width, dtype=torch.float16)
        for index, row in enumerate(rows):
            if row is not None:
                states[index, :, : row.shape[1]] = row
        mask = torch.arange(states.shape[2]) < torch.tensor(lengths)[:, None]
        return cls(states, mask, torch.tensor([row is not None for row in rows]))


@dataclass(frozen=True, slots=True)
class EmotionBatch:
    """One batch of both modalities. labels: (B,) int64. counted: (B,), false for a row excluded from the
    losses.
    """

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
class _Sample:
    """One row before collation. audio, text: samples and string, or states (L, T, H) of frozen encoders; None
    where the modality is absent.
    """

    audio: Samples | Tensor | None
    text: str | Tensor | None
    alignment: Alignment


class Collator:
    """Makes the batches of one model."""

    def __init__(
        self, inputs: TrainingInputs, settings: DataSettings, model: EmotionModel, labels: Mapping[str, int]
    ) -> None:
        """labels: key of the example -> index of its label."""
        self._inputs = inputs
        self._settings = settings
        self._text_features = (
            None if inputs.text_features is None else inputs.text_features.get(settings.text_source)
        )
        self._labels = labels
        self._confusions = confusions_of(inputs.tokenizer)
        self._spans = model.config.spans
        self._max_tokens = model.config.max_tokens
        self._waveform: WaveformSpec = model.audio_encoder.waveform_spec
        self._samples_per_frame = model.audio_encoder.step
        self._sizes = (
            (model.audio_encoder.states, model.audio_encoder.state_size),
            (model.text_encoder.states, model.text_encoder.state_size),
        )

    def training_batch(
        self, examples: Sequence[Example], counted: Sequence[bool], seed: int, epoch: int
    ) -> EmotionBatch:
        """Augmented examples; the random draws depend on seed, epoch and the example's key alone."""
        samples = [self._augmented(example, example_rng(seed, epoch, example.key)) for example in examples]
        return self._collate(samples, examples, counted)

    def length_s(self, example: Example) -> float:
        """Approximate duration in seconds, estimated from the text where there is no audio; batches are
        sorted by it.
        """
        if example.path is None or not self._settings.use_audio:
            return len(input_text(example, self._settings.text_source, self._inputs.transcripts)) / 15
        start, end = self._inputs.audio.spans[example.key]
        return (end - start) / SAMPLE_RATE_HZ

    def longest_training_s(self, example: Example) -> float:
        """The most that `length_s` can be after augmentation and cropping; batches are filled by it."""
        seconds = longest_augmented_s(self.length_s(example), self._settings.augment)
        return min(seconds, self._settings.max_seconds)

    def evaluated_s(self, example: Example) -> float:
        """`length_s` of what is left for evaluation; batches of predictions are filled by it."""
        return min(self.length_s(example), self._settings.max_evaluation_seconds)

    def evaluation_batch(self, examples: Sequence[Example]) -> EmotionBatch:
        """The examples without augmentation, as far as `max_evaluation_seconds`."""
        samples = [self._crop_end(self._sample(example, 0, 0), example) for example in examples]
        return self._collate(samples, examples, [True] * len(examples))

    def _sample(self, example: Example, audio_view: int, text_view: int) -> _Sample:
        """The example with the given (augmented) views of its audio and text."""
        text = self._text(example, text_view)
        audio, alignment = self._audio(example, audio_view)
        # Without text there is no alignment, in serving too.
        return _Sample(audio, text, alignment if text is not None else NO_ALIGNMENT)

    def _audio(self, example: Example, view: int) -> tuple[Samples | Tensor | None, Alignment]:
        if example.path is None or not self._settings.use_audio:
            return None, NO_ALIGNMENT
        if self._inputs.audio_features is not None:
            return self._inputs.audio_features.view(example.key, view)
        samples = self._inputs.audio.clip(example.key)
        return samples, self._inputs.alignments.get(example.key, NO_ALIGNMENT)

    def _text(self, example: Example, view: int) -> str | Tensor | None:
        text = input_text(example, self._settings.text_source, self._inputs.transcripts)
        if not text:
            return None
        if self._text_features is not None:
            return self._text_features.view(example.key, view)[0]
        return text

    def _augmented(self, example: Example, rng: np.random.Generator) -> _Sample:
        draw, (audio_view, text_view) = rng.random(), rng.integers(self._settings.views, size=2)
        sample = self._drop_modality(self._sample(example, int(audio_view), int(text_view)), draw)
        if isinstance(sample.audio, np.ndarray):
            samples, alignment = augment(sample.audio, sample.alignment, self._settings.augment, rng)
            sample = _Sample(samples, sample.text, alignment)
        sample = self._crop(sample, example, rng)
        if isinstance(sample.text, str):
            text = augment_text(sample.text, self._settings.augment, rng, self._confusions)
            sample = _Sample(sample.audio, text, sample.alignment)
        return sample

    def _drop_modality(self, sample: _Sample, draw: float) -> _Sample:
        """Without its text, or its audio, where it has both and `draw` (uniform in [0, 1)) selects it."""
        if sample.audio is None or sample.text is None:
            return sample
        if draw < self._settings.drop_text:
            return _Sample(sample.audio, None, NO_ALIGNMENT)
        if draw < self._settings.drop_text + self._settings.drop_audio:
            return _Sample(None, sample.text, NO_ALIGNMENT)
        return sample

    def _crop(self, sample: _Sample, example: Example, rng: np.random.Generator) -> _Sample:
        """A window of at most `max_seconds` at a random position with its words, or a random subset of the
        frames in order.
        """
        audio = sample.audio
        if isinstance(audio, Tensor) and 0 < self._settings.frames_per_clip < audio.shape[1]:
            drawn = np.sort(rng.choice(audio.shape[1], self._settings.frames_per_clip, replace=False))
            return _Sample(audio[:, torch.from_numpy(drawn)], sample.text, NO_ALIGNMENT)
        excess = self._length(sample) - self._limit(sample, self._settings.max_seconds)
        if excess <= 0:
            return sample
        return self._window(sample, int(rng.integers(0, excess + 1)), self._settings.max_seconds, example)

    def _crop_end(self, sample: _Sample, example: Example) -> _Sample:
        """The first `max_evaluation_seconds` and their words."""
        seconds = self._settings.max_evaluation_seconds
        if self._length(sample) <= self._limit(sample, seconds):
            return sample
        return self._window(sample, 0, seconds, example)

    def _length(self, sample: _Sample) -> int:
        """In samples, or in frames of a frozen encoder; 0 without audio."""
        audio = sample.audio
        return 0 if audio is None else audio.shape[1] if isinstance(audio, Tensor) else len(audio)

    def _limit(self, sample: _Sample, seconds: float) -> int:
        """`seconds` in the unit of `_length`."""
        step = self._samples_per_frame if isinstance(sample.audio, Tensor) else 1
        return max(1, int(seconds * SAMPLE_RATE_HZ / step))

    def _window(self, sample: _Sample, start: int, seconds: float, example: Example) -> _Sample:
        """`seconds` of the audio from `start` on, and the part of the text that is said in them."""
        audio, whole, limit = sample.audio, self._length(sample), self._limit(sample, seconds)
        assert audio is not None
        frozen = isinstance(audio, Tensor)
        step = self._samples_per_frame if frozen else 1
        cut = Window(start * step, (start + limit) * step, whole * step)
        return _Sample(
            audio[:, start : start + limit] if frozen else audio[start : start + limit],
            # A paired text is not said in the clip: no part of it belongs to a part of the clip.
            sample.text if example.paired else text_inside(sample.text, sample.alignment, cut),
            shift_alignment(sample.alignment, 1.0, -start * step),
        )

    def _collate(
        self, samples: Sequence[_Sample], examples: Sequence[Example], counted: Sequence[bool]
    ) -> EmotionBatch:
        audio_rows = [sample.audio for sample in samples]
        text_rows = [sample.text for sample in samples]
        audio = (
            collate_audio(audio_rows, self._waveform)  # type: ignore[arg-type]
            if self._inputs.audio_features is None
            else FrozenBatch.from_rows(audio_rows, *self._sizes[0])  # type: ignore[arg-type]
        )
        text = (
            collate_text(text_rows, self._inputs.tokenizer, self._max_tokens)  # type: ignore[arg-type]
            if self._text_features is None
            else FrozenBatch.from_rows(text_rows, *self._sizes[1])  # type: ignore[arg-type]
        )
        return EmotionBatch(
            audio,
            text,
            collate_spans([sample.alignment for sample in samples], self._spans),
            torch.tensor([self._labels[example.key] for example in examples]),
            torch.tensor(list(counted)),
        )


def encode_audio(model: EmotionModel, audio: AudioBatch | FrozenBatch) -> EncodedModality:
    """Runs the encoder, or only its layer mix on precomputed states where the encoder is frozen."""
    if isinstance(audio, AudioBatch):
        return model.encode_audio(audio)
    states = [layer.float() for layer in audio.states.unbind(1)]
    return model.encode_states(states, audio.mask, audio.present)


def encode_text(model: EmotionModel, text: TextBatch | FrozenBatch) -> EncodedModality:
    """The text counterpart of `encode_audio`."""
    if isinstance(text, TextBatch):
        return model.encode_text(text)
    return EncodedModality(_mixed(model.text_encoder.mix, text.states), text.mask, text.present)


def _mixed(mix: torch.nn.Module, states: Tensor) -> Tensor:
    """(B, L, T, H) -> (B, T, H) float32."""
    features: Tensor = mix([layer.float() for layer in states.unbind(1)])
    return features
