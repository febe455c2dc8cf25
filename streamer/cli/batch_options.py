"""What may stand beside `emostream replay --ray`, and what wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Final, Literal

from msgspec.structs import replace

from ..config import ModelSettings
from ..display_paths import shown
from ..errors import ConfigError
from ..output.formats import FormatName

JOBS: Final = 4
"""Recordings at a time on one worker where nobody says: judged together, they cost less than one by one."""
_SHARE: Final = 0.0001
"""Ray counts in these."""


@dataclass(frozen=True, slots=True)
class RayFlags:
    """None where they were not given. address: see `cluster.connection`."""

    address: str | None
    workers: int | None
    cpus_per_worker: float | None
    gpus_per_worker: float | None
    batch: int | None

    @property
    def cpus(self) -> float:
        return 1.0 if self.cpus_per_worker is None else self.cpus_per_worker

    @property
    def gpus(self) -> float:
        return self.gpus_per_worker or 0.0

    def refuse_alone(self, places: Sequence[str]) -> None:
        """Without --ray. Raises ConfigError."""
        for flag, value in (
            ("--workers", self.workers),
            ("--cpus-per-worker", self.cpus_per_worker),
            ("--gpus-per-worker", self.gpus_per_worker),
            ("--batch", self.batch),
        ):
            if value is not None:
                raise ConfigError(f"expected --ray with {flag}, got none; add it, or leave {flag} out")
        for place in places:
            if "://" in place:
                raise ConfigError(f"expected --ray with an address, got {shown(place)} alone; add --ray")

    def check(
        self, out: str | None, form: FormatName, device: str
    ) -> tuple[str, Literal["jsonl", "parquet"]]:
        """With --ray: where to, and in which format. device: of the models. Raises ConfigError."""
        if out is None:
            raise ConfigError(
                "expected --output-dir DIR with --ray, got none; name a folder that every node sees"
            )
        if form != "jsonl" and form != "parquet":
            raise ConfigError(
                f"expected --format jsonl or parquet with --ray, got {form}; choose one of these"
            )
        if self.address is not None and self.address.startswith("ray://"):
            raise ConfigError(
                f"expected HOST:PORT of a cluster that this machine is part of, got {self.address}, which "
                "Ray Data does not go through; run this on a machine of the cluster (`ray job submit`)"
            )
        if self.cpus == 0 and self.gpus == 0:
            raise ConfigError("expected a share of a CPU or of a GPU for each worker, got 0 of both")
        for flag, share in (("--cpus-per-worker", self.cpus), ("--gpus-per-worker", self.gpus)):
            if not isclose(share / _SHARE, round(share / _SHARE), rel_tol=1e-9):
                raise ConfigError(f"expected a multiple of {_SHARE} with {flag}, got {share:g}; round it")
        if self.gpus > 1 and not self.gpus.is_integer():
            raise ConfigError(
                f"expected whole GPUs or a share of one with --gpus-per-worker, got {self.gpus:g}; round it"
            )
        if self.gpus > 0 and device == "cpu":
            raise ConfigError(
                f"expected models on a GPU with --gpus-per-worker {self.gpus:g}, got --device cpu; "
                "leave one out"
            )
        return out, form

    def on_workers(self, models: ModelSettings) -> ModelSettings:
        """What a worker loads. It works in another folder, and Ray hides no GPU from one that wants none."""
        device = "cpu" if self.gpus == 0 and models.device == "auto" else models.device
        checkpoint = None if models.checkpoint is None else _whole(models.checkpoint)
        return replace(models, device=device, checkpoint=checkpoint, asr=_whole(models.asr))


def _whole(name: str) -> str:
    """Of a folder that is here; everything else is the name of a model."""
    return str(Path(name).absolute()) if Path(name).is_dir() else name


def refuse_with_ray(
    output: Path | None,
    plot: Path | None,
    pace: str,
    port: int | None,
    keep_audio: int | None,
    *,
    serve: bool,
) -> None:
    """Flags of what a cluster does not do. Raises ConfigError."""
    refused = {
        "--output": output is not None,
        "--plot": plot is not None,
        "--serve": serve,
        "--port": port is not None,
        "--audio-buffer": keep_audio is not None,
        f"--pace {pace}": pace != "full",
    }
    for flag, given in refused.items():
        if given:
            raise ConfigError(f"expected --output-dir DIR with --ray, got {flag}; leave it out")
