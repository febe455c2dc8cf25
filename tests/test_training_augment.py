"""Harm done to clips: bounded, seeded, and of the length that was promised."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.training.augmentation.sound import (
    add_noise,
    change_speed,
    colour,
    distort,
    pad_silence,
    random_window,
)

from .tiny_emotion import noise


@pytest.mark.parametrize("length", [1, 7, 16_001])
@pytest.mark.parametrize("harm", [add_noise, colour, distort])
def test_the_length_stays(harm: object, length: int) -> None:
    harmed = harm(noise(length), np.random.default_rng(0))  # type: ignore[operator]
    assert harmed.shape == (length,)
    assert harmed.dtype == np.float32
    assert np.isfinite(harmed).all()


def test_noise_is_as_loud_as_it_says() -> None:
    clip = noise(32_000)
    for seed in range(20):
        added = add_noise(clip, np.random.default_rng(seed)) - clip
        ratio_db = 10 * np.log10((clip**2).mean() / (added**2).mean())
        assert 2.9 < ratio_db < 35.1


def test_a_window_lies_inside_and_on_the_grid() -> None:
    rng = np.random.default_rng(0)
    clip = noise(40_000)
    for _ in range(200):
        start, length = random_window(clip, 24_000, 320, rng)
        assert start % 320 == 0
        assert start >= 0
        assert start + length <= len(clip)
        assert length < 24_000 + 320


def test_a_short_clip_survives_every_cut() -> None:
    rng = np.random.default_rng(0)
    assert all(random_window(noise(800), 64_000, 1, rng)[1] >= 600 for _ in range(100))


def test_speed_moves_length_by_at_most_eight_percent() -> None:
    lengths = [len(change_speed(noise(10_000), np.random.default_rng(seed))[0]) for seed in range(50)]
    assert min(lengths) >= 9250
    assert max(lengths) <= 10_880
    assert len(set(lengths)) > 10


def test_silence_is_quiet_and_at_the_ends() -> None:
    clip = noise(8000)
    padded, at = pad_silence(clip, np.random.default_rng(3))
    assert 8000 < len(padded) <= 8000 + 2 * 9600
    assert at == int(np.abs(np.correlate(padded, clip, "valid")).argmax())
    np.testing.assert_array_equal(padded[at : at + 8000], clip)


def test_the_generator_is_all_the_chance_there_is() -> None:
    clip = noise(8000)
    first, second = (distort(clip, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
