"""Reasons of uncertainty, from numbers only."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import Samples
from emostream.models.uncertainty import (
    AudioQuality,
    UncertaintyThresholds,
    estimate_snr_db,
    uncertain_reasons,
)

LIMITS = UncertaintyThresholds(too_short_s=0.5, low_snr_db=15.0, disagree_p=0.5, low_confidence_p=0.45)
SURE, TORN = (0.9, 0.05, 0.03, 0.02), (0.3, 0.3, 0.2, 0.2)


def speech_like(snr_db: float, seconds: float = 3.0) -> Samples:
    """Bursts of 0.3 s with pauses of 0.2 s, and steady noise whose power is `snr_db` below the bursts'."""
    rng = np.random.default_rng(1)
    count = int(seconds * 16_000)
    burst = (np.arange(count) % 8000) < 4800
    noise = rng.standard_normal(count) * 10 ** (-snr_db / 20)
    clip: Samples = (0.05 * (burst * rng.standard_normal(count) + noise)).astype(np.float32)
    return clip


@pytest.mark.parametrize("snr_db", [5.0, 10.0, 20.0, 30.0])
def test_the_snr_estimate_follows_the_true_snr(snr_db: float) -> None:
    assert estimate_snr_db(speech_like(snr_db)) == pytest.approx(snr_db, abs=3.0)


def test_the_snr_does_not_depend_on_the_level() -> None:
    clip = speech_like(12.0)
    assert estimate_snr_db(np.float32(0.01) * clip) == pytest.approx(estimate_snr_db(clip), abs=0.01)


@pytest.mark.parametrize(
    ("clip", "db"),
    [
        (np.zeros(16_000, np.float32), 0.0),
        (np.full(16_000, np.nan, np.float32), 0.0),
        (np.ones(100, np.float32), 60.0),
        (np.zeros(0, np.float32), 60.0),
    ],
)
def test_the_snr_of_edge_cases(clip: Samples, db: float) -> None:
    assert estimate_snr_db(clip) == db


def test_steady_noise_has_a_low_snr() -> None:
    steady = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    assert estimate_snr_db(steady) < 5.0


CLEAN = speech_like(40.0)


@pytest.mark.parametrize(
    ("clip", "fused", "audio", "text", "reasons"),
    [
        (CLEAN, SURE, SURE, SURE, ()),
        (CLEAN[:7999], SURE, SURE, SURE, ("too_short",)),
        (CLEAN, SURE, SURE, None, ("no_text",)),
        (CLEAN, SURE, SURE, SURE[::-1], ("modalities_disagree",)),
        (CLEAN, SURE, SURE, TORN[::-1], ()),
        (CLEAN, TORN, SURE, SURE, ("low_confidence",)),
        (speech_like(3.0), SURE, SURE, SURE, ("low_snr",)),
        (np.zeros(100, np.float32), TORN, TORN, None, ("too_short", "no_text", "low_confidence")),
    ],
)
def test_reasons(
    clip: Samples,
    fused: tuple[float, ...],
    audio: tuple[float, ...],
    text: tuple[float, ...] | None,
    reasons: tuple[str, ...],
) -> None:
    assert uncertain_reasons(AudioQuality.of(clip), fused, audio, text, LIMITS) == reasons
