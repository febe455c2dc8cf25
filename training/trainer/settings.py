"""Settings of the trainer, the same for every task."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Rate = Annotated[float, Meta(ge=0)]
PrecisionName = Literal["auto", "no", "bf16", "fp16"]


class TrainerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run.

    epochs: at most so many. batch: examples per step, over all processes together.
    learning_rate: of everything that is not pretrained. encoder_rate: of the encoders' uppermost layers; each
        layer below has `layer_decay` times the rate of the one above it. adapter_rate: of adapters in them.
    warmup: share of the steps over which the rate rises; after it the rate falls linearly to 0.
    clip_norm: the gradient is scaled down to this Euclidean norm.
    keep: the weights of the epoch with the best validation UA, or of the last one.
    patience: epochs without a better validation metric before training stops; 0: all epochs are run.
    average_decay: of an exponential running average of the weights, which is then what is validated and kept;
        0: the weights themselves.
    precision: of the forward pass: no (float32), bf16, fp16 with a scaled gradient, or auto, by the hardware.
    tf32: on a GPU, multiply what stays in float32 in TF32.
    batch_seconds: seconds of sound in a step, padding included, in place of a number of examples: short
        clips come many to a batch and long ones few. 0: `batch` examples.
    accumulation: parts in which a batch is computed, one after another; the step is that of the whole batch,
        contrastive pairs between the parts included, for about a third more time. In one process only.
    gradient_checkpointing: keep the encoders' activations at the layers' bounds alone and compute the others
        again for the gradient: less memory, about a third more time.
    loader_workers: threads that make batches ahead of the step; 0: each batch when it is needed.
    evaluation_seconds: seconds of sound, padding included, in a batch of predictions.
    save_every: steps between two snapshots; 0: one after each epoch.
    """

    epochs: Count = 20
    batch: Annotated[int, Meta(ge=2)] = 32
    learning_rate: Rate = 1e-3
    encoder_rate: Rate = 2e-5
    adapter_rate: Rate = 3e-4
    layer_decay: Annotated[float, Meta(gt=0, le=1)] = 0.9
    weight_decay: Rate = 0.01
    warmup: Fraction = 0.1
    clip_norm: Annotated[float, Meta(gt=0)] = 1.0
    patience: Annotated[int, Meta(ge=0)] = 5
    keep: Literal["best", "last"] = "best"
    average_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    precision: PrecisionName = "auto"
    tf32: bool = True
    batch_seconds: Annotated[float, Meta(ge=0)] = 0.0
    accumulation: Count = 1
    gradient_checkpointing: bool = False
    loader_workers: Annotated[int, Meta(ge=0)] = 2
    evaluation_seconds: Annotated[float, Meta(gt=0)] = 120.0
    save_every: Annotated[int, Meta(ge=0)] = 0
