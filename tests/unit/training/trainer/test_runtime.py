"""Precision by the hardware."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from emostream.training.errors import SettingsError
from emostream.training.trainer import runtime
from emostream.training.trainer.runtime import choose_training_precision, make_accelerator
from tests.support.training_task import fresh_accelerator


@pytest.fixture(autouse=True)
def _no_accelerator() -> Iterator[None]:
    with fresh_accelerator():
        yield


@pytest.mark.parametrize(
    ("gpu", "capability", "expected"),
    [
        ("none", None, "no"),
        ("GTX 1080 Ti", (6, 1), "no"),
        ("V100", (7, 0), "fp16"),
        ("T4", (7, 5), "fp16"),
        ("A100", (8, 0), "bf16"),
        ("L4", (8, 9), "bf16"),
        ("H100", (9, 0), "bf16"),
    ],
)
def test_auto_takes_what_the_tensor_cores_have(
    gpu: str, capability: tuple[int, int] | None, expected: str
) -> None:
    assert choose_training_precision("auto", capability) == expected


@pytest.mark.parametrize("name", ["no", "bf16", "fp16"])
def test_a_precision_by_name_is_taken(name: str) -> None:
    assert choose_training_precision(name, (7, 5)) == name  # type: ignore[arg-type]


def test_on_a_cpu_auto_is_float32_and_float16_is_refused() -> None:
    assert make_accelerator("auto", cpu=True).mixed_precision == "no"
    with pytest.raises(SettingsError, match="expected a GPU for precision = fp16, got a CPU: set precision"):
        make_accelerator("fp16", cpu=True)


@pytest.mark.parametrize(("allowed", "precision"), [(True, "high"), (False, "highest")])
def test_tf32_reaches_torch(monkeypatch: pytest.MonkeyPatch, allowed: bool, precision: str) -> None:
    found: list[str] = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", found.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not allowed)
    runtime.allow_tf32(allowed)
    assert found == [precision]
    assert torch.backends.cudnn.allow_tf32 is allowed
