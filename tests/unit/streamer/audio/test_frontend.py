"""The front end's frames depend on the audio alone, not on how it was divided into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from emostream.streamer.audio.frontend import AudioFrontend, PcmDecoder, encode_pcm, to_int16

RATES = [8_000, 16_000, 22_050, 44_100, 48_000, 96_000]


def noise(rate_hz: int, channels: int, seconds: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(rate_hz + channels)
    return rng.uniform(-0.5, 0.5, (int(rate_hz * seconds), channels)).astype(np.float32)


def frames(block_sizes: list[int], audio: np.ndarray, rate_hz: int) -> np.ndarray:
    frontend = AudioFrontend(rate_hz, audio.shape[1])
    out, start = [], 0
    for size in [*block_sizes, len(audio)]:
        out.append(frontend.push(audio[start : start + size]))
        start += size
    return np.concatenate([*out, frontend.finish()]).ravel()


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize(
    "channels", [1, 2, pytest.param(7, marks=pytest.mark.long), pytest.param(8, marks=pytest.mark.long)]
)
def test_blocks_do_not_matter(rate_hz: int, channels: int) -> None:
    audio = noise(rate_hz, channels, 0.25)
    reference = frames([], audio, rate_hz)
    np.testing.assert_array_equal(frames([1] * len(audio), audio, rate_hz), reference)
    np.testing.assert_array_equal(frames([rate_hz // 50] * 60, audio, rate_hz), reference)


@given(st.lists(st.integers(0, 5_000), max_size=20))
@settings(deadline=None, max_examples=30)
def test_no_division_into_blocks_matters(sizes: list[int]) -> None:
    audio = noise(44_100, 2)
    np.testing.assert_array_equal(frames(sizes, audio, 44_100), frames([], audio, 44_100))


def test_resampling_agrees_with_scipy() -> None:
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * time, dtype=np.float64).astype(np.float32)[:, None]
    result = frames([], tone, 48_000)
    reference = resample_poly(tone[:, 0], 1, 3)
    middle = slice(1_000, 15_000)  # the two filters treat the edges differently
    np.testing.assert_allclose(result[middle], reference[middle], atol=1e-3)


def test_channels_are_averaged() -> None:
    audio = np.stack([np.full(640, 0.5), np.full(640, -0.1)], axis=1).astype(np.float32)
    np.testing.assert_allclose(frames([], audio, 16_000), 0.2, atol=1e-7)


def test_samples_that_are_not_finite_become_silence_and_are_counted() -> None:
    frontend = AudioFrontend(16_000, 1)
    block = np.full((320, 1), 0.25, np.float32)
    block[3], block[7], block[9] = np.nan, np.inf, -np.inf
    (frame,) = frontend.push(block)
    assert frontend.invalid_samples == 3
    assert np.flatnonzero(frame == 0).tolist() == [3, 7, 9]


def test_a_drained_front_end_restarts_at_the_same_place() -> None:
    """Two halves through one front end with a drain between equal two front ends, one after the other."""
    audio = noise(48_000, 1, 0.2)
    half = len(audio) // 2  # a whole number of frames at 16 kHz
    frontend = AudioFrontend(48_000, 1)
    joined = [frontend.push(audio[:half]), frontend.drain(), frontend.push(audio[half:]), frontend.finish()]
    separate = np.concatenate([frames([], audio[:half], 48_000), frames([], audio[half:], 48_000)])
    np.testing.assert_array_equal(np.concatenate(joined).ravel(), separate)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
@given(cuts=st.lists(st.integers(0, 40), max_size=30))
def test_pcm_bytes_may_be_split_anywhere(encoding: str, cuts: list[int]) -> None:
    audio = noise(8_000, 2, 0.02)
    data = encode_pcm(audio, encoding)  # type: ignore[arg-type]
    decoder = PcmDecoder(encoding, 2)  # type: ignore[arg-type]
    blocks, start = [], 0
    for size in [*cuts, len(data)]:
        blocks.append(decoder.push(data[start : start + size]))
        start += size
    step = 1 / 65_536 if encoding == "pcm_s16le" else 0
    np.testing.assert_allclose(np.concatenate(blocks), audio, rtol=0, atol=step)


def test_integers_saturate() -> None:
    assert to_int16(np.array([2.0, 1.0, -1.0, -2.0, 0.5], np.float32)).tolist() == [
        32_767,
        32_767,
        -32_768,
        -32_768,
        16_384,
    ]
