"""A trained model's probabilities made honest, on the validation examples and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from msgspec.structs import replace

from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..evaluation.calibrate import fit_pattern, fit_temperature
from .collator import Collator
from .inputs import TrainingInputs
from .predict import ExamplePrediction, judge, stack_logits
from .settings import DataSettings

_SILENT: Final = 1e6
"""A temperature at which every label is equally likely."""


def calibrate(
    model: EmotionModel, predictions: Sequence[ExamplePrediction], labels: Mapping[str, int]
) -> None:
    """Writes late weights and the fused temperature of every pattern that is judged into `model.config`.

    judgements: of validation examples. labels: key -> number.
    """
    for pattern in sorted({one.pattern for one in predictions}):
        part = [one for one in predictions if one.pattern == pattern]
        truth = torch.tensor([labels[one.key] for one in part])
        fit_pattern(model.config, pattern, stack_logits(part), truth)
        if pattern in ("audio", "text"):
            model.config.temperatures[pattern] = fit_temperature(stack_logits(part)[pattern], truth)


def calibrate_all(
    model: EmotionModel,
    inputs: TrainingInputs,
    settings: DataSettings,
    validation: Sequence[Example],
    labels: Mapping[str, int],
    device: torch.device,
) -> None:
    """The same for what a served model may meet besides: the sound without words, the words without sound."""
    for asked in (settings, replace(settings, text_source="none"), replace(settings, use_audio=False)):
        if asked.use_audio or asked.text_source != "none":
            batches = Collator(inputs, asked, model, labels)
            predictions = judge(model, batches, validation, device)
            calibrate(model, [one for one in predictions if one.informed], labels)
    if settings.text_source == "none":
        _mute(model.config, "text", "audio")
    if not settings.use_audio:
        _mute(model.config, "audio", "text")


def _mute(config: EmotionConfig, head: str, other: str) -> None:
    """A head that never learned says nothing: no vote beside the other, and every label alike by itself."""
    config.late_weights["both"] = {name: float(name == other) for name in config.fused_heads("both")}
    config.temperatures["fused_both"] = config.temperatures[f"fused_{other}"]
    for name in (head, f"fused_{head}"):
        config.temperatures[name] = _SILENT
