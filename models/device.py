"""The device and the precision in which a network runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import nn

from .errors import DeviceError

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}

CPUINFO: Final = Path("/proc/cpuinfo")

BFLOAT16_MIN_PARAMETERS: Final = 20_000_000
"""Parameter count from which bfloat16 is faster on a CPU with native support: see docs/adr/0008."""


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

    auto: bfloat16 on a GPU or CPU that supports it in hardware, on a CPU only for encoders large enough to
    gain from it. bfloat16 by name is always used: CPUs without hardware support emulate it, slowly.
    Raises DeviceError for an unknown name.
    """
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise DeviceError(f"expected a dtype out of auto, {', '.join(DTYPES)}, got {name!r}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return (
        torch.bfloat16 if parameters >= BFLOAT16_MIN_PARAMETERS and _has_native_bfloat16() else torch.float32
    )


def cast_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Cast the weights to another precision, in place.

    Buffers keep theirs: they hold data statistics (`LayerConcat`) or angles, few numbers each, whose rounding
    error would be the same in every frame.
    """
    for weights in network.parameters():
        weights.data = weights.data.to(dtype)


def _has_native_bfloat16() -> bool:
    """AVX-512 BF16 or AMX on x86, BF16 on Arm, as listed by Linux; elsewhere unknown and False."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
