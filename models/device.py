"""Where a network runs, and in which precision."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import nn

from .errors import DeviceError

CPUINFO: Final = Path("/proc/cpuinfo")

BFLOAT16_MIN_PARAMETERS: Final = 20_000_000
"""Parameters from which bfloat16 pays on a processor that multiplies it natively: see docs/adr/0008."""


def choose_device(name: str) -> torch.device:
    """auto: CUDA where there is one. Raises DeviceError for an unknown or absent device."""
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
    """Of the encoders; heads, fusion and calibration stay in float32.

    auto: bfloat16 on a GPU or processor that has it in hardware, and there for encoders of a size that it
    pays for. bfloat16 asked for by name is taken at its word: other processors emulate it, slowly.
    Raises DeviceError for an unknown name.
    """
    if name == "float32":
        return torch.float32
    if name == "bfloat16":
        return torch.bfloat16
    if name != "auto":
        raise DeviceError(f"expected a dtype out of auto, float32, bfloat16, got {name!r}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return (
        torch.bfloat16 if parameters >= BFLOAT16_MIN_PARAMETERS and _multiplies_bfloat16() else torch.float32
    )


def cast_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights to another precision, in place.

    Buffers stay what they are: they hold measures of the data (`LayerConcat`) or angles, few numbers each,
    whose rounding would be the same mistake in every frame.
    """
    for weights in network.parameters():
        weights.data = weights.data.to(dtype)


def _multiplies_bfloat16() -> bool:
    """AVX-512 BF16 or AMX on x86, BF16 on Arm, as Linux lists them; elsewhere nobody says, and it is no."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
