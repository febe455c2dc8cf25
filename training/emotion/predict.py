"""A model's predictions for examples: the logits of every head, and the codes of both modalities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emostream.models.batching import map_in_batches
from emostream.models.calibration import fused_posterior, modality_pattern
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel, EmotionOutput

from ..corpora.example import Example
from .collator import Collator, EmotionBatch
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


@dataclass(frozen=True, slots=True)
class PredictionRuntime:
    """device: of the model. budget_s: seconds of sound in a batch, padding included; a longer clip is alone.
    autocast: the context of the forward pass, `Accelerator.autocast` where there is one.
    """

    device: torch.device
    budget_s: float = 120.0
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext


@torch.inference_mode()
def predict(
    model: EmotionModel, collator: Collator, examples: Sequence[Example], runtime: PredictionRuntime
) -> list[ExamplePrediction]:
    """One prediction per example, in the order of `examples`. Batches hold similar lengths, the longest
    first, which changes no result: where memory does not suffice, the first batch says so.
    """
    model.eval()

    def predict_batch(rows: list[int]) -> list[ExamplePrediction]:
        part = [examples[row] for row in rows]
        batch = collator.evaluation_batch(part).to(runtime.device)
        with runtime.autocast():
            output = forward_batch(model, batch)
        return _rows_of(part, batch, output)

    lengths = [collator.evaluated_s(example) for example in examples]
    return map_in_batches(lengths, runtime.budget_s, predict_batch)


def _rows_of(
    examples: Sequence[Example], batch: EmotionBatch, output: EmotionOutput
) -> list[ExamplePrediction]:
    logits = {head: values.float().cpu() for head, values in output.logits().items()}
    embeddings = torch.cat([output.audio_embedding, output.text_embedding], dim=1).float().cpu()
    has_audio, has_text = batch.audio.present.tolist(), batch.text.present.tolist()
    return [
        ExamplePrediction(
            example.key,
            {head: values[row] for head, values in logits.items()},
            embeddings[row],
            modality_pattern(has_audio[row], has_text[row]),
            has_audio[row] or has_text[row],
        )
        for row, example in enumerate(examples)
    ]


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
