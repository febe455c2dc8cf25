"""The device and the precision in which a network runs."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from .errors import DeviceError
from .precision import choose_precision_on_cpu

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """The torch device of a name; auto is CUDA where available. Raises DeviceError for an unknown name or a
    device that is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise DeviceError(f"expected a device out of auto, cpu, cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "expected a CUDA device, found none: use --device cpu, or install CUDA and its torch"
        )
    return torch.device(name)


def choose_dtype(name: str, device: torch.device, parameters: int) -> torch.dtype:
    """The precision of the encoders; heads, fusion and calibration stay in float32.

    auto: bfloat16 on a GPU that supports it in hardware; on a CPU see `choose_precision_on_cpu`. Raises
    DeviceError for an unknown name.
    """
    if device.type == "cuda" and name == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return DTYPES[choose_precision_on_cpu(name, parameters)]


def cast_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Cast the weights to another precision, in place.

    Buffers keep theirs: they hold data statistics (`LayerConcat`) or angles, few numbers each, whose rounding
    error would be the same in every frame.
    """
    for weights in network.parameters():
        weights.data = weights.data.to(dtype)
