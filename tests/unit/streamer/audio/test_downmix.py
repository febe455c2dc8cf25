"""Mixing down, and channels that cancel each other."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.streamer.audio.downmix import Downmix
from emostream.streamer.audio.frontend import AudioFrontend
from tests.support.fakes import silence, voice

RATE_HZ = 16_000
SPEECH = np.concatenate([silence(300), voice(1_000), silence(500), voice(1_500, seed=1)])


def stereo(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack([left, right], axis=1).astype(np.float32)


def mixed(block: np.ndarray) -> tuple[np.ndarray, int | None]:
    downmix = Downmix(RATE_HZ, block.shape[1])
    mono = np.concatenate([downmix.push(block), downmix.drain()])
    return mono, downmix.heard_alone


def noise(seed: int, level: float) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(len(SPEECH))


@pytest.mark.parametrize(
    ("what", "right"),
    [
        ("equal", SPEECH),
        ("half as loud", 0.5 * SPEECH),
        ("silent", 0 * SPEECH),
        ("another sound", noise(0, 0.1)),
        ("later by the way between two microphones", np.roll(SPEECH, 30)),
        ("opposite, but half as loud", -0.5 * SPEECH),
        ("opposite, but too quiet to matter", -SPEECH * 1e-4),
    ],
)
def test_what_can_be_mixed_is_the_mean(what: str, right: np.ndarray) -> None:
    block = stereo(SPEECH, right)
    mono, alone = mixed(block)
    assert alone is None, what
    np.testing.assert_allclose(mono, block.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(
    ("what", "left", "right", "channel"),
    [
        ("opposite", SPEECH, -SPEECH, 1),
        ("opposite and a little louder", SPEECH, -1.1 * SPEECH, 2),
        ("nearly opposite", SPEECH, -0.8 * SPEECH, 1),
        ("opposite, on an offset of a sound card", SPEECH + 0.1, -SPEECH + 0.1, 1),
        ("as a codec leaves it", SPEECH + noise(1, 1e-3), -SPEECH + noise(2, 1e-3), None),
    ],
)
def test_of_channels_that_cancel_the_louder_one_is_heard(
    what: str, left: np.ndarray, right: np.ndarray, channel: int | None
) -> None:
    mono, alone = mixed(stereo(left, right))
    assert alone is not None, what
    assert channel in (None, alone)
    loud = np.abs(SPEECH) > 0.05
    chosen = (left, right)[alone - 1]
    np.testing.assert_allclose(mono[loud], chosen[loud].astype(np.float32), atol=1e-6)


def test_channels_that_stop_cancelling_are_mixed_again() -> None:
    block = stereo(np.tile(SPEECH, 2), np.concatenate([-SPEECH, SPEECH]))
    mono, alone = mixed(block)
    assert alone == 1
    np.testing.assert_allclose(mono[-RATE_HZ:], SPEECH[-RATE_HZ:], atol=1e-7)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_frames_do_not_depend_on_the_blocks(channels: int) -> None:
    rng = np.random.default_rng(0)
    signs = np.array([1, -1, 0.5])[:channels]
    block = (SPEECH[:, None] * signs + 0.01 * rng.standard_normal((len(SPEECH), channels))).astype(np.float32)
    whole = AudioFrontend(44_100, channels)
    expected = np.concatenate([whole.push(block), whole.finish()])
    parts = AudioFrontend(44_100, channels)
    cuts = np.sort(rng.integers(0, len(block), 40))
    frames = [parts.push(piece) for piece in np.split(block, cuts) if len(piece)]
    assert np.array_equal(np.concatenate([*frames, parts.finish()]), expected)


def test_invalid_samples_in_one_channel_are_silence_and_counted() -> None:
    block = stereo(SPEECH, SPEECH)
    block[100] = np.nan
    block[200, 0] = np.inf
    frontend = AudioFrontend(RATE_HZ, 2)
    frames = np.concatenate([frontend.push(block), frontend.finish()]).ravel()
    assert frontend.invalid_samples == 2
    assert frames[100] == frames[200] == 0
