"""What a model says of examples: logits of every head, and codes."""

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
from .module import forward


@dataclass(frozen=True, slots=True)
class ExamplePrediction:
    """Of one example. logits: head -> (C,). code: (2 D,), of sound and words. pattern: both, audio or text.

    informed: false where there was neither sound nor a word.
    """

    key: str
    logits: dict[str, Tensor]
    code: Tensor
    pattern: str
    informed: bool


@torch.inference_mode()
def judge(
    model: EmotionModel, batches: Collator, examples: Sequence[Example], device: torch.device, size: int = 16
) -> list[ExamplePrediction]:
    """In the order of `examples`; like lengths go together, which changes no result."""
    model.eval()
    found: dict[str, ExamplePrediction] = {}
    order = sorted(examples, key=batches.length, reverse=True)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        batch = batches.judging(part).to(device)
        output = forward(model, batch)
        logits = {head: values.float().cpu() for head, values in output.logits().items()}
        codes = torch.cat([output.audio_embedding, output.text_embedding], dim=1).float().cpu()
        heard, read = batch.audio.present.tolist(), batch.text.present.tolist()
        for row, example in enumerate(part):
            own = {head: values[row] for head, values in logits.items()}
            pattern = modality_pattern(heard[row], read[row])
            found[example.key] = ExamplePrediction(
                example.key, own, codes[row], pattern, heard[row] or read[row]
            )
    return [found[example.key] for example in examples]


def posteriors(predictions: Sequence[ExamplePrediction], config: EmotionConfig) -> npt.NDArray[np.float64]:
    """(N, C): fused and calibrated, each by its own pattern of modalities."""
    rows = [
        fused_posterior({head: values[None] for head, values in one.logits.items()}, one.pattern, config)
        for one in predictions
    ]
    return torch.cat(rows).numpy()


def stack_logits(predictions: Sequence[ExamplePrediction]) -> Mapping[str, Tensor]:
    """head -> (N, C)."""
    return {head: torch.stack([one.logits[head] for one in predictions]) for head in predictions[0].logits}
