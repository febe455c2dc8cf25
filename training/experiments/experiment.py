"""The settings of an experiment, read from a TOML file: corpora, labels, folds, model and training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emostream.models import LABELS

from ..emotion.settings import ContrastiveSettings, DataSettings, ModelSettings
from ..errors import SettingsError
from ..settings_file import read_table
from ..trainer.settings import Count, Rate, TrainerSettings
from .protocols import ProtocolName, ValidationName, check_protocol

Alpha = Annotated[float, Meta(ge=0.001, lt=1)]
Seed = Annotated[int, Meta(ge=0)]


class EncoderRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What two rows of the papers' table differ in from one whose encoders are fine-tuned.

    lora_rank: of the row with adapters. frozen_rate: learning rate of the row with frozen encoders.
    """

    lora_rank: Count = 8
    frozen_rate: Rate = 1e-3


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run of `fit` or of a table.

    corpora: to take from a manifest that holds several; empty: all.
    labels: the classes, in the order of every output. label_column: which of an example's columns
        holds them;
        examples with any other are left out.
    max_per_speaker_label: how many examples of each speaker and label to draw, once, for a quicker table;
        0: all of them.
    protocol: what is left out in turn. folds: how many the protocol `folds` has.
    validation: what of the rest is for early stopping and calibration, None: as the protocol has it, see
        `protocols`. validation_share: how much of it.
    seeds: one training run each.
    alphas: of the contrastive rows of the papers' table, which start from the concatenation, as in the paper.
    fused_alphas: of those that start from the baseline, the multi-level model.
    sweep_seeds: every alpha runs with so many of the seeds, the first; with the others the one of each loss
        that has the best validation on those, in the same fold. 0: every alpha runs with all.
    continued: trainer settings of the rows that start from the baseline's weights.
    encoders: settings of the rows that compare how encoders are trained.
    keep_weights: of a table's fits: baseline (those that other rows start from), all, or none, not even these
        once a fold and seed is complete. A fit that needs them again trains the baseline again.
    """

    name: str = ""
    note: str = ""
    corpora: tuple[str, ...] = ()
    labels: Annotated[tuple[str, ...], Meta(min_length=2)] = LABELS
    label_column: Literal["emotion", "emotion_orig"] = "emotion"
    max_per_speaker_label: Annotated[int, Meta(ge=0)] = 0
    protocol: ProtocolName = "group"
    folds: Annotated[int, Meta(ge=2)] = 5
    validation: ValidationName | None = None
    validation_share: Annotated[float, Meta(gt=0, lt=1)] = 0.15
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)] = (1, 2, 3)
    alphas: tuple[Alpha, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    fused_alphas: tuple[Alpha, ...] = (0.1, 0.3)
    sweep_seeds: Annotated[int, Meta(ge=0)] = 0
    model: ModelSettings = msgspec.field(default_factory=ModelSettings)
    data: DataSettings = msgspec.field(default_factory=DataSettings)
    contrastive: ContrastiveSettings = msgspec.field(default_factory=ContrastiveSettings)
    trainer: TrainerSettings = msgspec.field(default_factory=TrainerSettings)
    continued: TrainerSettings = msgspec.field(default_factory=TrainerSettings)
    encoders: EncoderRows = msgspec.field(default_factory=EncoderRows)
    keep_weights: Literal["baseline", "all", "none"] = "baseline"


def read_experiment(path: Path) -> Experiment:
    """Raises SettingsError for a missing file, invalid TOML, an unknown key, a wrong type, contradicting
    settings.
    """
    experiment = read_table(path, Experiment(name=path.stem), "an experiment")
    check_consistency(experiment, str(path))
    return experiment


def check_consistency(experiment: Experiment, where: str) -> None:
    """Raises SettingsError where one setting makes another meaningless. where: the file or row, for the
    message.
    """
    check_protocol(experiment.protocol, experiment.validation, where)
    model, data = experiment.model, experiment.data
    frozen = model.audio_frozen == "all" and model.text_frozen == "all"
    if data.cache_features and not frozen:
        raise SettingsError(
            f"{where}: expected audio_frozen and text_frozen to be all where features are cached, got "
            f"{model.audio_frozen} and {model.text_frozen}: the outputs of an encoder that trains change"
        )
    if model.lora_rank and frozen:
        raise SettingsError(
            f"{where}: expected an encoder that is not frozen where lora_rank is {model.lora_rank}, both "
            "frozen: there is nothing that adapters would stand in for"
        )
    if data.views > 1 and not data.cache_features:
        raise SettingsError(f"{where}: expected views of cached features, got views without cache_features")
    if data.cache_features and data.augment.any() != (data.views > 1):
        raise SettingsError(
            f"{where}: expected augmentation and views > 1 together where features are cached, got "
            f"views = {data.views}: augmented clips are further views"
        )
    if data.frames_per_clip and (not data.cache_features or set(model.granularities) != {"frame"}):
        raise SettingsError(
            f"{where}: expected frames_per_clip to draw from cached features of the granularity frame "
            f"alone, got {', '.join(model.granularities)} and "
            f"cache_features = {str(data.cache_features).lower()}"
        )
    if not data.use_audio and data.text_source == "none":
        raise SettingsError(f"{where}: expected use_audio, a text_source or both, got neither")
    if (not data.use_audio or data.text_source == "none") and model.fusion != "late":
        raise SettingsError(
            f"{where}: expected fusion = late where there is nothing to fuse, got {model.fusion} with "
            f"use_audio = {str(data.use_audio).lower()}, text_source = {data.text_source}: "
            "early fusion would be served inputs it was never trained on"
        )
    if data.text_source == "none" and set(model.granularities) != {"frame"}:
        raise SettingsError(
            f"{where}: expected the granularity frame alone where there is no text, got "
            f"{', '.join(model.granularities)}: spans come from the alignment of the words"
        )
    lists = {
        name: getattr(experiment, name) for name in ("labels", "seeds", "alphas", "fused_alphas", "corpora")
    }
    for name, listed in (lists | {"granularities": model.granularities}).items():
        values = [f"{value:g}" if isinstance(value, float) else value for value in listed]
        if len(set(values)) != len(values):
            raise SettingsError(f"{where}: expected different {name}, got {', '.join(map(str, values))}")
