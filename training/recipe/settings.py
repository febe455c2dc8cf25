"""What a run is made of, read from a TOML file. Unknown keys are refused: a typo is not a default."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from emostream.models.encoders.choice import FreezeDepth

from ..errors import SettingsError


@dataclass(frozen=True, slots=True)
class StudentSize:
    """The network to be trained; see EmotionConfig, Wav2Vec2Config, BertConfig.

    granularities, span_pooling, fusion: the ablations. Clips without known words have frames alone.
    """

    filters: int = 256
    filter_samples: int = 400
    audio_width: int = 160
    audio_layers: int = 3
    text_width: int = 96
    text_layers: int = 2
    vocabulary: int = 6000
    max_tokens: int = 96
    width: int = 64
    fusion_layers: int = 2
    dropout: float = 0.1
    granularities: tuple[str, ...] = ("frame",)
    span_pooling: str = "mean"
    fusion: str = "both"


@dataclass(frozen=True, slots=True)
class DistilSettings:
    """Audio student after Whisper's encoder. teacher_layers: 0 is the embedding, 4 the last of tiny."""

    epochs: int = 10
    clips_per_corpus: int = 1000
    batch_seconds: float = 32.0
    max_seconds: float = 3.0
    learning_rate: float = 2e-3
    warmup: float = 0.05
    teacher_layers: tuple[int, ...] = (2, 4)
    whole_weight: float = 1.0
    label_weight: float = 0.2


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Text student: MiniLM's sentence vectors of so many lines, and the labels of all."""

    epochs: int = 5
    batch: int = 96
    teacher_lines: int = 15_000
    learning_rate: float = 1e-3
    teacher_weight: float = 1.0
    other_weight: float = 0.3


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Heads, fusion and a gentle pass over both encoders. Shares are probabilities per item.

    audio_frozen, text_frozen: how much of an encoder stays as it is: `none`, `front_end`, so many of the
    lower layers as well, or `all`.
    """

    epochs: int = 12
    batch: int = 32
    learning_rate: float = 1e-3
    encoder_rate: float = 5e-4
    max_seconds: float = 3.0
    contrastive_alpha: float = 0.2
    neutral_text: float = 0.3
    mismatched_text: float = 0.1
    drop_text: float = 0.25
    drop_audio: float = 0.1
    label_smoothing: float = 0.05
    average_decay: float = 0.99
    cell_clips: int = 256
    max_repeat: int = 3
    audio_frozen: FreezeDepth = "none"
    text_frozen: FreezeDepth = "none"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run. seed: of everything drawn. note: what the card should add to the figures."""

    name: str
    seed: int = 1
    note: str = ""
    student: StudentSize = field(default_factory=StudentSize)
    distil: DistilSettings = field(default_factory=DistilSettings)
    text: TextSettings = field(default_factory=TextSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)


def read_settings(path: Path) -> RunSettings:
    """Raises SettingsError for a missing file, broken TOML, an unknown key or a wrong type."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"expected a TOML file of a training run at {path}: {error}") from error
    return _build(RunSettings, {"name": path.stem} | table, str(path))  # type: ignore[no-any-return]


def _build(kind: type[Any], table: dict[str, Any], where: str) -> Any:
    types = get_type_hints(kind)
    names = [entry.name for entry in fields(kind)]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in names:
            raise SettingsError(f"{where}: unknown setting `{key}`; expected one of {', '.join(names)}")
        values[key] = _value(types[key], value, f"{where}: {key}")
    return kind(**values)


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
    if kind == FreezeDepth:
        if value in ("none", "front_end", "all") or (type(value) is int and value >= 0):
            return value
        raise SettingsError(f"{where}: expected none, front_end, all or a number of layers, got {value!r}")
    inner = get_args(kind)[0]
    if isinstance(value, list) and all(type(item) is inner for item in value):
        return tuple(value)
    raise SettingsError(f"{where}: expected a list of {inner.__name__}, got {value!r}")
