"""Calibration of a trained model's probabilities, fitted on validation examples only."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from msgspec.structs import replace

from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..evaluation.calibrate import fit_pattern, fit_temperature
from ..evaluation.metrics import compute_metrics
from .collator import Collator
from .inputs import TrainingInputs
from .predict import ExamplePrediction, PredictionRuntime, posteriors, predict, stack_logits
from .settings import DataSettings

_UNINFORMATIVE: Final = 1e6
"""A temperature that makes every label equally likely."""


def calibrate(
    config: EmotionConfig, predictions: Sequence[ExamplePrediction], labels: Mapping[str, int]
) -> None:
    """Fits late-fusion weights and temperatures of every pattern that occurs, and writes them into the
    configuration.

    predictions: of validation examples. labels: key -> index.
    """
    for pattern in sorted({prediction.pattern for prediction in predictions}):
        of_pattern = [prediction for prediction in predictions if prediction.pattern == pattern]
        truth = torch.tensor([labels[prediction.key] for prediction in of_pattern])
        fit_pattern(config, pattern, stack_logits(of_pattern), truth)
        if pattern in ("audio", "text"):
            config.temperatures[pattern] = fit_temperature(stack_logits(of_pattern)[pattern], truth)


def held_out_calibration_error(
    config: EmotionConfig,
    predictions: Sequence[ExamplePrediction],
    labels: Mapping[str, int],
    speakers: Mapping[str, str],
) -> float | None:
    """Calibration error (bins of equal mass) of the validation examples, each half of their speakers
    calibrated on the other half: what is left in the domain of the fit. None for one speaker.

    speakers: key -> speaker. The configuration stays as it is.
    """
    names = sorted({speakers[prediction.key] for prediction in predictions})
    halves = [[p for p in predictions if speakers[p.key] in names[half::2]] for half in (0, 1)]
    if not all(halves):
        return None
    parts = []
    for fitted, measured in (halves, halves[::-1]):
        scratch = copy.deepcopy(config)
        calibrate(scratch, fitted, labels)
        parts.append((np.array([labels[p.key] for p in measured]), posteriors(measured, scratch)))
    truth, probabilities = (np.concatenate(column) for column in zip(*parts, strict=True))
    return compute_metrics(truth, probabilities).ece_equal_mass


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
            calibrate(
                model.config, [prediction for prediction in predictions if prediction.has_input], labels
            )
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
