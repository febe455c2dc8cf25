"""The precision of the encoders, chosen by name, size and hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from .errors import DeviceError

Precision = Literal["float32", "bfloat16"]
PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "bfloat16")

CPUINFO: Final = Path("/proc/cpuinfo")

BFLOAT16_MIN_PARAMETERS: Final = 20_000_000
"""Parameter count from which bfloat16 is faster on a CPU with native support: see docs/adr/0008."""


def choose_precision_on_cpu(name: str, parameters: int) -> Precision:
    """Of encoders on a CPU. parameters: how many they have.

    auto: bfloat16 where the CPU has it in hardware and the encoders are large enough to gain from it.
    bfloat16 by name is always used: CPUs without hardware support emulate it, slowly. Raises DeviceError for
    an unknown name.
    """
    if name == "auto":
        gains = parameters >= BFLOAT16_MIN_PARAMETERS and has_native_bfloat16()
        return "bfloat16" if gains else "float32"
    for precision in PRECISIONS:
        if name == precision:
            return precision
    raise DeviceError(f"expected a dtype out of auto, {', '.join(PRECISIONS)}, got {name!r}")


def has_native_bfloat16() -> bool:
    """AVX-512 BF16 or AMX on x86, BF16 on Arm, as listed by Linux; elsewhere unknown and False."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
