"""Where a run trains: device, processes, precision, and the folder of its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from .callbacks import TrainingCallback

_PREPARATION_TIMEOUT: Final = timedelta(hours=12)
"""How long the other processes wait for the first, which transcribes and decodes for all of them."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device and processes of a run, the folder of its snapshot and weights, and its callback."""

    accelerator: Accelerator
    folder: Path
    callback: TrainingCallback


def make_accelerator(precision: str, *, cpu: bool = False) -> Accelerator:
    """One per program: device, precision and processes as `accelerate launch` or `torchrun` set them."""
    # A step leaves parameters unused where a modality is absent.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    timeout = InitProcessGroupKwargs(timeout=_PREPARATION_TIMEOUT)
    return Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[unused, timeout])
