"""A long utterance does not leave its memory behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emostream.models import Clip, load_recognizer
from emostream.models.arena import run_options
from emostream.models.checkpoint_files import BUNDLED

ROLLUP = Path("/proc/self/smaps_rollup")


def resident_mib() -> float:
    lines = ROLLUP.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


def test_only_long_runs_give_their_memory_back() -> None:
    assert run_options(4.0) is None
    assert run_options(30.0) is not None


@pytest.mark.skipif(not ROLLUP.exists(), reason="needs Linux's /proc")
def test_the_memory_of_a_long_utterance_is_given_back() -> None:
    recognizer = load_recognizer(BUNDLED, device="cpu")
    samples = np.random.default_rng(0).normal(0.0, 0.1, 30 * 16_000).astype(np.float32)
    recognizer.encode([Clip(samples[: 4 * 16_000])])
    before = resident_mib()
    recognizer.encode([Clip(samples)])
    assert resident_mib() - before < 50  # of 100 MiB that it takes
