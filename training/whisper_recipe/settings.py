"""Settings of a run of the recipe, read from a TOML file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..augmentation.settings import AugmentSettings
from ..bundled_recipe.settings import FusionSettings, read_table
from ..trainer.settings import TrainerSettings


class EncoderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The encoder and what is built on it; see EmotionConfig.

    name: of the Whisper model. layers: concatenated, 0 is the input of the first. level: root mean square
    that clips are brought to.
    """

    name: str = "base"
    layers: tuple[int, ...] = (2, 3, 4)
    level: float = 0.05
    mix_width: int = 256
    pooling_heads: int = 4
    width: int = 64
    fusion_layers: int = 2
    dropout: float = 0.1


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ordinary: share of ordinary speech of the training mass. clips_per_speaker: at most so many count.
    votes: how far listeners' shares replace the acted label. views: augmented ones beside the clip itself.
    epoch_clips: drawn in an epoch.
    """

    ordinary: float = 0.12
    clips_per_speaker: int = 200
    votes: float = 0.0
    views: int = 1
    epoch_clips: int = 6000
    augment: AugmentSettings = AugmentSettings(
        voice=0.7, noise=0.35, equalizer=0.35, codec=0.25, reverb=0.25, silence=0.2
    )


class BaselineTraining(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The speaker's baseline; see BaselineSettings. cold: share of the training clips without one."""

    prior_count: float = 5.0
    neutral_weight: float = 0.0
    max_shift: float | None = None
    cold: float = 0.3


class HeadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The audio-only head. frames_per_clip: frames drawn from each training clip.

    neutral_offset: taken from the log odds of neutral after training; chosen on corpora left out.
    """

    frames_per_clip: int = 32
    label_smoothing: float = 0.1
    neutral_offset: float = 0.0
    classifier_dropout: float = 0.5
    trainer: TrainerSettings = msgspec.field(
        default_factory=lambda: TrainerSettings(
            epochs=12,
            batch=64,
            learning_rate=1e-3,
            weight_decay=0.05,
            clip_norm=5.0,
            patience=0,
            keep="last",
            average_decay=0.99,
        )
    )


class WhisperRunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run. seed: of all random draws. note: text that the model card adds to the metrics."""

    name: str
    seed: int = 1
    note: str = ""
    encoder: EncoderSettings = msgspec.field(default_factory=EncoderSettings)
    data: DataSettings = msgspec.field(default_factory=DataSettings)
    baseline: BaselineTraining = msgspec.field(default_factory=BaselineTraining)
    head: HeadSettings = msgspec.field(default_factory=HeadSettings)
    fusion: FusionSettings = msgspec.field(default_factory=FusionSettings)


def read_whisper_settings(path: Path) -> WhisperRunSettings:
    """Raises SettingsError for a missing file, invalid TOML, an unknown key or a wrong type."""
    return read_table(path, WhisperRunSettings(name=path.stem))
