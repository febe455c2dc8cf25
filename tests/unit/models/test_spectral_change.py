"""Tones change slowly, voices and noise fast, whatever their level."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sounds import SOUNDS
from emostream.models.spectral_change import spectral_change
from emostream.streamer.audio.decode import decode_file


@pytest.mark.parametrize("name", ["melody", "gliding_tone", "ring_tone", "sweep"])
def test_a_note_hardly_changes(name: str) -> None:
    assert spectral_change(SOUNDS[name](np.random.default_rng(0)).astype(np.float32)) < 0.42


def test_speech_changes_at_every_level() -> None:
    speech = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 4 * 16_000]
    change = spectral_change(speech)
    assert change > 0.45
    assert spectral_change(0.01 * speech) == pytest.approx(change, rel=0.01)


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_nothing_does_not_change(samples: int) -> None:
    assert spectral_change(np.zeros(samples, np.float32)) == 0.0
