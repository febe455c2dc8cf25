"""Denormal numbers are flushed to zero, and only where it was asked for."""

from __future__ import annotations

import pytest
import torch

from emostream.training.denormals import flushed_denormals

TINY = 2.0**-140


def half() -> float:
    return float(torch.full((64,), TINY).mul(0.5)[0])


def test_they_are_zero_inside_and_numbers_again_after_an_error() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormal numbers")
    assert half() == TINY / 2
    with pytest.raises(RuntimeError), flushed_denormals():
        assert half() == 0.0
        raise RuntimeError
    assert half() == TINY / 2
