"""Settings of a run of the recipe, read from a TOML file. Unknown keys are refused: a typo is not a
default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from ..augmentation.settings import AugmentSettings
from ..emotion.settings import DataSettings
from ..errors import SettingsError
from ..trainer.settings import TrainerSettings

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

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


class HeadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Data and trainer of the audio-only head on the frozen encoder."""

    data: DataSettings = msgspec.field(
        default_factory=lambda: DataSettings(
            text_source="none",
            cache_features=True,
            views=5,
            frames_per_clip=32,
            balanced=True,
            label_smoothing=0.1,
            augment=AugmentSettings(voice=0.8, noise=0.4, equalizer=0.3, codec=0.2, reverb=0.2, silence=0.3),
        )
    )
    trainer: TrainerSettings = msgspec.field(
        default_factory=lambda: TrainerSettings(
            epochs=20,
            batch=32,
            learning_rate=1e-3,
            weight_decay=0.05,
            clip_norm=5.0,
            patience=0,
            keep="last",
            average_decay=0.99,
        )
    )


class FusionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Early fusion. frames_per_clip: frames drawn from each training clip. neutral_text, mismatched_text,
    drop_text, drop_audio: probabilities per clip.
    """

    epochs: int = 8
    batch: int = 32
    learning_rate: float = 1e-3
    frames_per_clip: int = 48
    contrastive_alpha: float = 0.2
    neutral_text: float = 0.35
    mismatched_text: float = 0.1
    drop_text: float = 0.1
    drop_audio: float = 0.1
    label_smoothing: float = 0.05
    average_decay: float = 0.99


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run. seed: of all random draws. note: text that the model card adds to the metrics.

    evaluated_corpus: cross-validated in its own folds; for speaker-independent metrics
    distillation.exclude_corpora has to name it. fold_seeds: one training run each.
    """

    name: str
    seed: int = 1
    note: str = ""
    evaluated_corpus: str = "ravdess"
    fold_seeds: tuple[int, ...] = (1, 2, 3)
    student: StudentSize = msgspec.field(default_factory=StudentSize)
    distillation: DistillationSettings = msgspec.field(default_factory=DistillationSettings)
    text_teacher: TextTeacherSettings = msgspec.field(default_factory=TextTeacherSettings)
    text: TextSettings = msgspec.field(default_factory=TextSettings)
    heads: HeadSettings = msgspec.field(default_factory=HeadSettings)
    fusion: FusionSettings = msgspec.field(default_factory=FusionSettings)


def read_settings(path: Path) -> RunSettings:
    """Raises SettingsError for a missing file, invalid TOML, an unknown key or a wrong type."""
    return read_table(path, RunSettings(name=path.stem))


def read_table(path: Path, defaults: SettingsT) -> SettingsT:
    """The settings of a TOML file in place of the defaults. Raises SettingsError as `read_settings`."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"expected a TOML file of a training run at {path}: {error}") from error
    try:
        return msgspec.convert(_merged(msgspec.to_builtins(defaults), table), type(defaults))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from error


def _merged(defaults: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """The defaults with the values of `table` in their place, table by table."""
    return defaults | {
        name: _merged(defaults[name], value)
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in table.items()
    }
