"""What a run is made of, read from a TOML file. Unknown keys are refused: a typo is not a default."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import msgspec

from ..augmentation.settings import AugmentSettings
from ..emotion.settings import DataSettings
from ..errors import SettingsError
from ..trainer.settings import TrainerSettings

PRECISION: Final = "bf16"
"""Of every stage: one program has one. Twice as fast where the processor knows it (AVX-512 BF16, AMX)."""


@dataclass(frozen=True, slots=True)
class StudentSize:
    """The network to be trained; see EmotionConfig, Wav2Vec2Config, BertConfig.

    mel_bins: of the spectrogram that the audio encoder hears. mix_width, pooling_heads: of the head that puts
    the audio encoder's layers side by side.
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


@dataclass(frozen=True, slots=True)
class DistillationSettings:
    """Audio student after Whisper's encoder, on all training speakers but those of the corpora `without`.

    teacher_layers: 0 is the embedding, 4 the last of tiny; learned by as many of the student's uppermost.
    synthetic: lines of text that espeak-ng and Flite read, a corpus like the others. clips_per_corpus: in
    each epoch. speed: up to so much faster or slower, as a logarithm. voice: chance of another voice, see
    AugmentSettings. harmed: chance that the student hears a clip distorted.
    """

    epochs: int = 40
    without: tuple[str, ...] = ()
    synthetic: int = 3000
    clips_per_corpus: int = 1000
    batch: int = 6
    max_seconds: float = 3.0
    speed: float = 0.15
    voice: float = 0.5
    harmed: float = 0.5
    learning_rate: float = 1e-3
    warmup: float = 0.03
    teacher_layers: tuple[int, ...] = (0, 1, 2, 3)
    clip_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class TextTeacherSettings:
    """MiniLM, fine-tuned. others: lines of other emotions in each epoch, beside all of the four labels."""

    epochs: int = 2
    batch: int = 64
    others: int = 8000
    learning_rate: float = 5e-5


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Text student after the teacher's vectors and its opinion of each label, and after the labels.

    soft_weight: of the teacher's opinion; temperature: at which it is compared (arXiv 1503.02531).
    """

    epochs: int = 8
    batch: int = 64
    learning_rate: float = 1e-3
    vector_weight: float = 1.0
    soft_weight: float = 1.0
    temperature: float = 2.0
    other_weight: float = 0.3


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """The audio-only head on the frozen encoder; see the two structures."""

    data: DataSettings = field(
        default_factory=lambda: DataSettings(
            text_source="none",
            cache_features=True,
            views=5,
            frames_per_clip=32,
            balanced=True,
            label_smoothing=0.1,
            augment=AugmentSettings(voice=0.8, noise=0.4, colour=0.3, codec=0.2, room=0.2, silence=0.3),
        )
    )
    trainer: TrainerSettings = field(
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


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Early fusion. frames: so many of each training clip. Shares are probabilities per item."""

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


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run. seed: of everything drawn. note: what the card should add to the figures.

    judged: the corpus that is cross-validated in its own folds; for figures of strangers, distil.without has
    to name it. fold_seeds: one training each.
    """

    name: str
    seed: int = 1
    note: str = ""
    judged: str = "ravdess"
    fold_seeds: tuple[int, ...] = (1, 2, 3)
    student: StudentSize = field(default_factory=StudentSize)
    distil: DistillationSettings = field(default_factory=DistillationSettings)
    text_teacher: TextTeacherSettings = field(default_factory=TextTeacherSettings)
    text: TextSettings = field(default_factory=TextSettings)
    heads: HeadSettings = field(default_factory=HeadSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)


def read_settings(path: Path) -> RunSettings:
    """Raises SettingsError for a missing file, broken TOML, an unknown key or a wrong type."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"expected a TOML file of a training run at {path}: {error}") from error
    return _build(RunSettings, {"name": path.stem} | table, str(path))  # type: ignore[no-any-return]


def _build(kind: type[Any], table: dict[str, Any], where: str) -> Any:
    types = get_type_hints(kind)
    names = [entry.name for entry in fields(kind)]
    # Structures change from the defaults that their settings have, not from their own.
    whole = kind() if all(_has_default(entry) for entry in fields(kind)) else None
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in names:
            raise SettingsError(f"{where}: unknown setting `{key}`; expected one of {', '.join(names)}")
        default = getattr(whole, key, None)
        values[key] = (
            _changed(default, value, f"{where}: {key}")
            if isinstance(default, msgspec.Struct)
            else _value(types[key], value, f"{where}: {key}")
        )
    return kind(**values)


def _has_default(entry: Field[Any]) -> bool:
    return entry.default is not MISSING or entry.default_factory is not MISSING


def _changed(default: msgspec.Struct, table: Any, where: str) -> Any:
    """The default with what the table names in its place."""
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: expected a table, got {table!r}")
    try:
        return msgspec.convert(_merged(msgspec.to_builtins(default), table), type(default))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}") from error


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    deeper = {name: _merged(old[name], value) for name, value in new.items() if _both(old.get(name), value)}
    return old | new | deeper


def _both(old: Any, new: Any) -> bool:
    return isinstance(old, dict) and isinstance(new, dict)


def _value(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise SettingsError(f"{where}: expected a table, got {value!r}")
        return _build(kind, value, where)  # type: ignore[arg-type]
    if kind is float and type(value) is int:
        return float(value)
    if kind in (int, float, str):
        if type(value) is not kind:
            raise SettingsError(f"{where}: expected {kind.__name__}, got {value!r}")
        return value
    inner = get_args(kind)[0]
    if isinstance(value, list) and all(type(item) is inner for item in value):
        return tuple(value)
    raise SettingsError(f"{where}: expected a list of {inner.__name__}, got {value!r}")
