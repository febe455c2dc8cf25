"""Settings of the trainer, the same for every task."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Rate = Annotated[float, Meta(ge=0)]


class TrainerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run.

    epochs: at most so many. batch: examples per step, over all processes together.
    learning_rate: of everything that is not pretrained. encoder_rate: of the encoders' uppermost layers; each
        layer below has `layer_decay` times the rate of the one above it.
    warmup: share of the steps over which the rate rises; after it the rate falls linearly to 0.
    clip_norm: the gradient is scaled down to this Euclidean norm.
    keep: the weights of the epoch with the best validation UA, or of the last one.
    patience: epochs without a better validation metric before training stops; 0: all epochs are run.
    average_decay: of an exponential running average of the weights, which is then what is validated and kept;
        0: the weights themselves.
    precision: of the forward pass: no (float32), bf16 or fp16.
    save_every: steps between two snapshots; 0: one after each epoch.
    """

    epochs: Count = 20
    batch: Annotated[int, Meta(ge=2)] = 32
    learning_rate: Rate = 1e-3
    encoder_rate: Rate = 2e-5
    layer_decay: Annotated[float, Meta(gt=0, le=1)] = 0.9
    weight_decay: Rate = 0.01
    warmup: Fraction = 0.1
    clip_norm: Annotated[float, Meta(gt=0)] = 1.0
    patience: Annotated[int, Meta(ge=0)] = 5
    keep: Literal["best", "last"] = "best"
    average_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    precision: Literal["no", "bf16", "fp16"] = "no"
    save_every: Annotated[int, Meta(ge=0)] = 0
