"""Calibration of a trained model's probabilities, fitted on validation examples only."""

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
from .predict import ExamplePrediction, PredictionRuntime, predict, stack_logits
from .settings import DataSettings

_UNINFORMATIVE: Final = 1e6
"""A temperature that makes every label equally likely."""


def calibrate(
    model: EmotionModel, predictions: Sequence[ExamplePrediction], labels: Mapping[str, int]
) -> None:
    """Fits late-fusion weights and temperatures of every pattern that occurs, and writes them into
    `model.config`.

    predictions: of validation examples. labels: key -> index.
    """
    for pattern in sorted({prediction.pattern for prediction in predictions}):
        of_pattern = [prediction for prediction in predictions if prediction.pattern == pattern]
        truth = torch.tensor([labels[prediction.key] for prediction in of_pattern])
        fit_pattern(model.config, pattern, stack_logits(of_pattern), truth)
        if pattern in ("audio", "text"):
            model.config.temperatures[pattern] = fit_temperature(stack_logits(of_pattern)[pattern], truth)


def calibrate_all(
    model: EmotionModel,
    inputs: TrainingInputs,
    settings: DataSettings,
    validation: Sequence[Example],
    labels: Mapping[str, int],
    runtime: PredictionRuntime,
) -> None:
    """Calibrates the configured inputs and also either modality alone, which a served model may receive."""
    for variant in (settings, replace(settings, text_source="none"), replace(settings, use_audio=False)):
        if variant.use_audio or variant.text_source != "none":
            collator = Collator(inputs, variant, model, labels)
            predictions = predict(model, collator, validation, runtime)
            calibrate(model, [prediction for prediction in predictions if prediction.has_input], labels)
    if settings.text_source == "none":
        _mute(model.config, "text", "audio")
    if not settings.use_audio:
        _mute(model.config, "audio", "text")


def _mute(config: EmotionConfig, head: str, other: str) -> None:
    """Disables a head that was never trained: no weight beside the other one, a uniform posterior by
    itself.
    """
    config.late_weights["both"] = {name: float(name == other) for name in config.fused_heads("both")}
    config.temperatures["fused_both"] = config.temperatures[f"fused_{other}"]
    for name in (head, f"fused_{head}"):
        config.temperatures[name] = _UNINFORMATIVE
