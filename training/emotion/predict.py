"""A model's predictions for examples: the logits of every head, and the codes of both modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emostream.models.calibration import fused_posterior, modality_pattern
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from .collator import Collator
from .module import forward_batch


@dataclass(frozen=True, slots=True)
class ExamplePrediction:
    """The prediction for one example.

    logits: head -> (C,). code: (2 D,), of audio and text, concatenated. pattern: both, audio or text.
    has_input: false where there was neither audio nor text.
    """

    key: str
    logits: dict[str, Tensor]
    embedding: Tensor
    pattern: str
    has_input: bool


@torch.inference_mode()
def predict(
    model: EmotionModel, collator: Collator, examples: Sequence[Example], device: torch.device, size: int = 16
) -> list[ExamplePrediction]:
    """One prediction per example, in the order of `examples`. Batches hold similar lengths, which changes no
    result.
    """
    model.eval()
    by_key: dict[str, ExamplePrediction] = {}
    order = sorted(examples, key=collator.length_s, reverse=True)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        batch = collator.evaluation_batch(part).to(device)
        output = forward_batch(model, batch)
        logits = {head: values.float().cpu() for head, values in output.logits().items()}
        embeddings = torch.cat([output.audio_embedding, output.text_embedding], dim=1).float().cpu()
        has_audio, has_text = batch.audio.present.tolist(), batch.text.present.tolist()
        for row, example in enumerate(part):
            row_logits = {head: values[row] for head, values in logits.items()}
            pattern = modality_pattern(has_audio[row], has_text[row])
            by_key[example.key] = ExamplePrediction(
                example.key, row_logits, embeddings[row], pattern, has_audio[row] or has_text[row]
            )
    return [by_key[example.key] for example in examples]


def posteriors(predictions: Sequence[ExamplePrediction], config: EmotionConfig) -> npt.NDArray[np.float64]:
    """Fused, calibrated probabilities (N, C), each by the example's own pattern of modalities."""
    rows = [
        fused_posterior(
            {head: values[None].numpy() for head, values in prediction.logits.items()},
            prediction.pattern,
            config,
        )
        for prediction in predictions
    ]
    return np.concatenate(rows)


def stack_logits(predictions: Sequence[ExamplePrediction]) -> Mapping[str, Tensor]:
    """The logits of all predictions: head -> (N, C)."""
    return {
        head: torch.stack([prediction.logits[head] for prediction in predictions])
        for head in predictions[0].logits
    }
