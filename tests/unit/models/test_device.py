"""The choice of device and precision, given or automatic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import Clip, DeviceError, EmotionInput, Transcript
from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.device import choose_device, choose_dtype
from emostream.models.precision import BFLOAT16_MIN_PARAMETERS
from emostream.models.recognizer import EmotionRecognizer
from tests.support.tiny_emotion import noise, write_tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:7", ""])
def test_unknown_devices_are_rejected(name: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu, cuda"):
        choose_device(name)


def test_a_missing_cuda_device_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceError, match="--device cpu"):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"


PROCESSORS = {
    "x86 with AVX-512 BF16": ("flags\t\t: fpu avx512f avx512_bf16 sse", True),
    "x86 with AMX": ("flags\t\t: fpu amx_bf16 amx_tile", True),
    "Arm with BF16": ("Features\t: fp asimd bf16 i8mm", True),
    "x86 that would emulate it": ("flags\t\t: fpu avx512f avx2", False),
    "a name that holds the letters": ("model name\t: bf16 9000\nflags\t\t: fpu", False),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_auto_selects_bfloat16_on_processors_that_support_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, has_it = PROCESSORS[name]
    (tmp_path / "cpuinfo").write_text(lines + "\n")
    monkeypatch.setattr("emostream.models.precision.CPUINFO", tmp_path / "cpuinfo")
    wanted = torch.bfloat16 if has_it else torch.float32
    assert choose_dtype("auto", CPU, BFLOAT16_MIN_PARAMETERS) == wanted
    assert choose_dtype("auto", CPU, BFLOAT16_MIN_PARAMETERS - 1) == torch.float32


def test_auto_selects_float32_where_support_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emostream.models.precision.CPUINFO", tmp_path / "none")
    assert choose_dtype("auto", CPU, BFLOAT16_MIN_PARAMETERS) == torch.float32


def test_a_given_dtype_is_used() -> None:
    assert choose_dtype("float32", CPU, BFLOAT16_MIN_PARAMETERS) == torch.float32
    assert choose_dtype("bfloat16", CPU, 1) == torch.bfloat16


def test_an_unknown_dtype_is_rejected() -> None:
    with pytest.raises(DeviceError, match="auto, float32, bfloat16, got 'int3'"):
        choose_dtype("int3", CPU, 1)


def test_bfloat16_applies_to_the_encoders_only() -> None:
    """To both as a whole; the layers after them are small and stay in float32."""
    checkpoint = load_checkpoint(BUNDLED)
    EmotionRecognizer(checkpoint, CPU, torch.bfloat16)
    for name, weights in checkpoint.model.named_parameters():
        encodes = name.startswith(("audio_encoder.", "text_encoder."))
        assert (name, weights.dtype) == (name, torch.bfloat16 if encodes else torch.float32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("dtype", "apart"), [("float32", 1e-3), ("bfloat16", 0.03)])
def test_gpu_results_equal_cpu_results(dtype: str, apart: float, tmp_path: Path) -> None:
    """The bundled model, and a group-norm front end, which a GPU runs over the whole batch."""
    speeches = [
        EmotionInput(Clip(noise(8_000 * (1 + seed % 5), seed)), Transcript("so happy") if seed % 2 else None)
        for seed in range(12)
    ]
    for checkpoint in (None, write_tiny(tmp_path, norm="group")):
        ours, theirs = (
            EmotionRecognizer.load(checkpoint, device=device, dtype=precision).recognize(speeches)
            for device, precision in (("cpu", "float32"), ("cuda", dtype))
        )
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(np.subtract(a.probabilities, b.probabilities)).max() < apart
