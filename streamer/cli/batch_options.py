"""The workers of `emostream batch`: how many, and what each of them gets."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec.structs import replace

from ..config import ModelSettings
from ..errors import ConfigError

_SHARE_STEP: Final = 0.0001
"""Ray's resolution for shares of a CPU or GPU."""
_WORKERS: Final = "Workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Each worker is a process with models of its own."""

    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="How many workers. Default: as many as the cluster has room for.",
            show_default=False,
            rich_help_panel=_WORKERS,
        ),
    ] = None
    cpus: Annotated[
        float,
        typer.Option(
            "--cpus-per-worker", metavar="N", min=0, help="CPUs of each worker.", rich_help_panel=_WORKERS
        ),
    ] = 1.0
    gpus: Annotated[
        float,
        typer.Option(
            "--gpus-per-worker",
            metavar="N",
            min=0,
            help="GPUs of each worker; with 0.25 four workers share one.",
            rich_help_panel=_WORKERS,
        ),
    ] = 0.0
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            help="How many recordings at a time on each worker: batched on the same models, they cost less "
            "than one by one.",
            rich_help_panel=_WORKERS,
        ),
    ] = 4
    shard_size: Annotated[
        int,
        typer.Option(
            "--shard-size",
            metavar="N",
            min=1,
            help="Recordings that a worker takes at a time, at most.",
            rich_help_panel=_WORKERS,
        ),
    ] = 64

    def check(self, device: str) -> None:
        """device: of the models. Raises ConfigError."""
        if self.cpus == 0 and self.gpus == 0:
            raise ConfigError("expected a share of a CPU or of a GPU for each worker, got 0 of both")
        for option, share in (("--cpus-per-worker", self.cpus), ("--gpus-per-worker", self.gpus)):
            if not isclose(share / _SHARE_STEP, round(share / _SHARE_STEP), rel_tol=1e-9):
                raise ConfigError(
                    f"expected a multiple of {_SHARE_STEP} with {option}, got {share:g}; round it"
                )
        if self.gpus > 1 and not self.gpus.is_integer():
            raise ConfigError(
                f"expected whole GPUs or a share of one with --gpus-per-worker, got {self.gpus:g}; round it"
            )
        if self.gpus > 0 and device == "cpu":
            raise ConfigError(
                f"expected models on a GPU with --gpus-per-worker {self.gpus:g}, got --device cpu; "
                "leave one out"
            )

    def worker_models(self, models: ModelSettings) -> ModelSettings:
        """What a worker loads: absolute paths, since it runs in another folder, and the CPU if it has no GPU,
        since Ray hides no GPU from a worker that asked for none.
        """
        device = "cpu" if self.gpus == 0 and models.device == "auto" else models.device
        checkpoint = None if models.checkpoint is None else _absolute(models.checkpoint)
        return replace(models, device=device, checkpoint=checkpoint, asr=_absolute(models.asr))


def _absolute(name: str) -> str:
    """The absolute path of a folder of this machine; anything else is the name of a model."""
    return str(Path(name).absolute()) if Path(name).is_dir() else name
