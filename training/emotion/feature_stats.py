"""Mean and standard deviation of an audio encoder's states over training frames, to standardize them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from emostream.models.collate import AudioBatch
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.layer_mix import LayerConcat

from ..corpora.example import Example
from .collator import Collator, FrozenBatch

_CLIPS: Final = 1024
"""Training examples drawn once: enough frames for mean and deviation to two digits."""


@torch.inference_mode()
def fit_feature_stats(
    model: EmotionModel, collator: Collator, train: Sequence[Example], device: torch.device
) -> None:
    """Sets the mean and deviation in the layer mix of a model that concatenates its layers.

    Other models are left unchanged. train: training examples only.
    """
    mix = model.audio_encoder.mix
    if not isinstance(mix, LayerConcat):
        return
    model.eval()
    order = np.random.default_rng(0).permutation(len(train))[:_CLIPS]
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for start in range(0, len(order), 16):
        batch = collator.evaluation_batch([train[index] for index in order[start : start + 16]]).to(device)
        frames = _frames(model, batch.audio)
        count += len(frames)
        total = total + frames.sum(0).double().cpu()
        squares = squares + frames.double().square().sum(0).cpu()
    if count:
        mean = total / count
        mix.standardise(mean.float(), (squares / count - mean**2).clamp(min=0).sqrt().float())


def _frames(model: EmotionModel, audio: AudioBatch | FrozenBatch) -> Tensor:
    """All valid frames of the batch, (F, L, H)."""
    if isinstance(audio, FrozenBatch):
        states, mask = audio.states.float(), audio.mask  # (B, L, T, H)
    else:
        layers, mask = model.audio_encoder.layers(audio.samples, audio.mask)
        states = torch.stack(layers, dim=1)
    return states.transpose(1, 2)[mask & audio.present[:, None]]
