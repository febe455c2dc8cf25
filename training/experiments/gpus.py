"""GPUs by name: what their makers state of them, for costs that are computed and not measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import SettingsError

if TYPE_CHECKING:
    from ..trainer.runtime import MixedPrecision


@dataclass(frozen=True, slots=True)
class Gpu:
    """capability: of CUDA. memory_gib: of the usual size. tflops: peak of dense matrix products with a
    float32 sum, by precision; `no` is float32, in TF32 where there is any.
    """

    name: str
    capability: tuple[int, int]
    memory_gib: int
    tflops: dict[MixedPrecision, float]

    @property
    def precision(self) -> MixedPrecision:
        """What `precision = "auto"` takes."""
        from ..trainer.runtime import choose_training_precision  # and torch with it

        return choose_training_precision("auto", self.capability)


GPUS: Final = {
    gpu.name: gpu
    for gpu in (
        Gpu("t4", (7, 5), 16, {"fp16": 65.0, "no": 8.1}),
        Gpu("v100", (7, 0), 16, {"fp16": 125.0, "no": 15.7}),
        Gpu("a100", (8, 0), 40, {"bf16": 312.0, "fp16": 312.0, "no": 156.0}),
        Gpu("l4", (8, 9), 24, {"bf16": 121.0, "fp16": 121.0, "no": 60.0}),
        Gpu("h100", (9, 0), 80, {"bf16": 989.0, "fp16": 989.0, "no": 495.0}),
    )
}


def gpu_named(name: str) -> Gpu:
    """Raises SettingsError for a name that is not among `GPUS`."""
    if name.lower() not in GPUS:
        raise SettingsError(
            f"expected --gpu out of {', '.join(GPUS)}, got {name}: measure it with --hours on `table papers`"
        )
    return GPUS[name.lower()]
