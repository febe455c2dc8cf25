"""Settings of the run that makes the encoders of models/bundled, read from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from ..settings_file import read_table

PRECISION: Final = "bf16"
"""Of every stage: one program has one. Twice as fast where the processor supports it (AVX-512 BF16, AMX)."""


class StudentSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network to train; see EmotionConfig, Wav2Vec2Config, BertConfig.

    mel_bins: of the audio encoder's spectrogram. mix_width, pooling_heads: of the head that concatenates the
    audio encoder's layers.
    """

    mel_bins: int = 80
    audio_width: int = 256
    audio_layers: int = 4
    mix_width: int = 256
    pooling_heads: int = 4
    text_width: int = 128
    text_layers: int = 3
    vocabulary: int = 8000
    max_tokens: int = 96
    width: int = 64
    fusion_layers: int = 2
    dropout: float = 0.1


class DistillationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Distillation of Whisper's encoder into the audio student, on all training speakers but those of the
    corpora `exclude_corpora`.

    teacher_layers: 0 is the embedding, 4 the last of tiny; as many of the student's uppermost layers learn
    them. synthetic: lines of text that espeak-ng and Flite read, a corpus like the others. clips_per_corpus:
    in each epoch. speed: up to so much faster or slower, as a logarithm. voice: probability of another voice,
    see AugmentSettings. corrupted: probability that the student's input is distorted.
    """

    epochs: int = 40
    exclude_corpora: tuple[str, ...] = ()
    synthetic: int = 3000
    clips_per_corpus: int = 1000
    batch: int = 6
    max_seconds: float = 3.0
    speed: float = 0.15
    voice: float = 0.5
    corrupted: float = 0.5
    learning_rate: float = 1e-3
    warmup: float = 0.03
    teacher_layers: tuple[int, ...] = (0, 1, 2, 3)
    clip_weight: float = 0.5


class TextTeacherSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fine-tuning of MiniLM. other_lines: lines of other emotions in each epoch, beside all of the four
    labels.
    """

    epochs: int = 2
    batch: int = 64
    other_lines: int = 8000
    learning_rate: float = 5e-5


class TextSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Distillation of the text teacher's vectors and label probabilities, together with the true labels.

    soft_weight: of the teacher's label probabilities; temperature: at which they are compared
    (arXiv 1503.02531).
    """

    epochs: int = 8
    batch: int = 64
    learning_rate: float = 1e-3
    vector_weight: float = 1.0
    soft_weight: float = 1.0
    temperature: float = 2.0
    other_weight: float = 0.3


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run. seed: of all random draws."""

    name: str
    seed: int = 1
    student: StudentSize = msgspec.field(default_factory=StudentSize)
    distillation: DistillationSettings = msgspec.field(default_factory=DistillationSettings)
    text_teacher: TextTeacherSettings = msgspec.field(default_factory=TextTeacherSettings)
    text: TextSettings = msgspec.field(default_factory=TextSettings)


def read_settings(path: Path) -> RunSettings:
    """Raises SettingsError for a missing file, invalid TOML, an unknown key or a wrong type."""
    return read_table(path, RunSettings(name=path.stem))
