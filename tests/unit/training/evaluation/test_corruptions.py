"""The corruptions of the robustness table."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.training.evaluation.corruptions import corruptions
from tests.support.tiny_emotion import noise


def test_corruptions_match_their_names() -> None:
    by_name = {corruption.name: corruption.apply for corruption in corruptions()}
    clip = 0.1 * noise(16_000)
    rng = np.random.default_rng(0)
    assert by_name["as recorded"](clip, rng) is clip
    for snr in (20, 0):
        added = by_name[f"noise, SNR {snr} dB"](clip, rng) - clip
        assert 10 * np.log10((clip**2).mean() / (added**2).mean()) == pytest.approx(snr, abs=0.5)
    quiet = by_name["peak at -35 dBFS"](clip, rng)
    assert 20 * np.log10(np.abs(quiet).max()) == pytest.approx(-35.0, abs=0.1)
    longer = by_name["0.6 s of near silence at both ends"](clip, rng)
    assert len(longer) == len(clip) + 2 * 9600
    assert np.abs(longer[:9600]).max() < 1e-3
    shorter = by_name["speech cut by 0.1 s at both ends"](clip, rng)
    assert len(shorter) == len(clip) - 2 * 1600
