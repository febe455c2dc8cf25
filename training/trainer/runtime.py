"""Where a run trains: device, processes, precision, and the folder of its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from ..errors import SettingsError
from .callbacks import TrainingCallback
from .settings import PrecisionName

_PREPARATION_TIMEOUT: Final = timedelta(hours=12)
"""How long the other processes wait for the first, which transcribes and decodes for all of them."""

_BF16_CAPABILITY: Final = (8, 0)
"""Compute capability of Ampere, the first with bfloat16 in its tensor cores."""
_FP16_CAPABILITY: Final = (7, 0)
"""Of Volta, the first with tensor cores, which are of float16. Before it float16 is no faster, or slower."""

MixedPrecision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device and processes of a run, the folder of its snapshot and weights, and its callback."""

    accelerator: Accelerator
    folder: Path
    callback: TrainingCallback


def make_accelerator(
    precision: PrecisionName,
    *,
    cpu: bool = False,
    tf32: bool = True,
    log_with: str | None = None,
    log_folder: Path | None = None,
) -> Accelerator:
    """One per program: device, precision and processes as `accelerate launch` or `torchrun` set them.

    precision: auto chooses by the GPU; fp16 brings its gradient scaler. tf32: on a GPU, what is left in
    float32 is multiplied in TF32. log_with, log_folder: the tracker of `TrackerCallback`, and where it keeps
    files. Raises SettingsError where the device cannot compute in that precision.
    """
    cuda = torch.cuda.is_available() and not cpu
    chosen = choose_training_precision(precision, torch.cuda.get_device_capability() if cuda else None)
    if chosen == "fp16" and not cuda:
        raise SettingsError(
            "expected a GPU for precision = fp16, got a CPU: set precision to auto, no or bf16"
        )
    if cuda:
        allow_tf32(tf32)
    # A step leaves parameters unused where a modality is absent.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    timeout = InitProcessGroupKwargs(timeout=_PREPARATION_TIMEOUT)
    return Accelerator(
        mixed_precision=chosen,
        cpu=cpu,
        kwargs_handlers=[unused, timeout],
        log_with=log_with,
        project_dir=None if log_folder is None else str(log_folder),
    )


def choose_training_precision(name: PrecisionName, capability: tuple[int, int] | None) -> MixedPrecision:
    """The precision of the forward pass. capability: the GPU's compute capability; None: no CUDA device.

    auto: bfloat16 where the hardware has it, or else float16 where it has tensor cores for that (T4, V100),
    or else float32. On a CPU float32: training there is of small parts, which gain nothing.
    """
    if name != "auto":
        return name
    if capability is None or capability < _FP16_CAPABILITY:
        return "no"
    return "bf16" if capability >= _BF16_CAPABILITY else "fp16"


def allow_tf32(allowed: bool) -> None:
    """Multiply float32 in TF32 where the GPU has it: 10 bits of mantissa, and several times as fast."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
