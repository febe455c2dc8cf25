"""Settings of a run of the recipe, read from a TOML file."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Literal

import msgspec

from emostream.models.baseline import BaselineSettings

from ..augmentation.settings import AugmentSettings
from ..settings_file import read_table
from ..trainer.settings import TrainerSettings


class EncoderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The encoder and what is built on it; see EmotionConfig.

    source: `whisper`, whose encoder the checkpoint shares, or `checkpoint`, the audio encoder of another
    checkpoint, which this one holds as well. name: of the Whisper model. layers: concatenated, 0 is the
    input of the first. level: root mean square that clips are brought to for Whisper.
    """

    source: Literal["whisper", "checkpoint"] = "whisper"
    name: str = "base"
    layers: tuple[int, ...] = (2, 3, 4)
    level: float = 0.05
    mix_width: int = 256
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
    """The speaker's baseline in training; see BaselineSettings. cold: share of the clips without one."""

    prior_count: float = 5.0
    cold: float = 0.3


class HeadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The audio-only head. frames_per_clip: frames drawn from each training clip."""

    frames_per_clip: int = 32
    label_smoothing: float = 0.1
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


class ChoiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Candidates for what is chosen after training, on corpora left out: see `choice.Choice`.

    prior_counts, neutral_weights, max_shifts: every combination is a candidate for the baseline; infinity is
    no limit.
    """

    neutral_offsets: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    prior_counts: tuple[float, ...] = (5.0, 20.0)
    neutral_weights: tuple[float, ...] = (0.0, 0.5, 1.0)
    max_shifts: tuple[float, ...] = (math.inf,)

    def baseline_settings(self) -> list[BaselineSettings]:
        combinations = itertools.product(self.prior_counts, self.neutral_weights, self.max_shifts)
        return [BaselineSettings(*values) for values in combinations]


class CrossCorpusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run. seed: of all random draws. note: text that the model card adds to the metrics."""

    name: str
    seed: int = 1
    note: str = ""
    encoder: EncoderSettings = msgspec.field(default_factory=EncoderSettings)
    data: DataSettings = msgspec.field(default_factory=DataSettings)
    baseline: BaselineTraining = msgspec.field(default_factory=BaselineTraining)
    head: HeadSettings = msgspec.field(default_factory=HeadSettings)
    choice: ChoiceSettings = msgspec.field(default_factory=ChoiceSettings)
    fusion: FusionSettings = msgspec.field(default_factory=FusionSettings)


def read_cross_corpus_settings(path: Path) -> CrossCorpusSettings:
    """Raises SettingsError for a missing file, invalid TOML, an unknown key or a wrong type."""
    return read_table(path, CrossCorpusSettings(name=path.stem))
