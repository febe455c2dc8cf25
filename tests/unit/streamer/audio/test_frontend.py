"""The chain's frames depend on the sound alone, not on how it was cut."""

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


def frames(block_sizes: list[int], sound: np.ndarray, rate_hz: int) -> np.ndarray:
    chain = AudioFrontend(rate_hz, sound.shape[1])
    out, start = [], 0
    for size in [*block_sizes, len(sound)]:
        out.append(chain.push(sound[start : start + size]))
        start += size
    return np.concatenate([*out, chain.finish()]).ravel()


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("channels", [1, 2, 7, 8])
def test_blocks_do_not_matter(rate_hz: int, channels: int) -> None:
    sound = noise(rate_hz, channels, 0.25)
    whole = frames([], sound, rate_hz)
    np.testing.assert_array_equal(frames([1] * len(sound), sound, rate_hz), whole)
    np.testing.assert_array_equal(frames([rate_hz // 50] * 60, sound, rate_hz), whole)


@given(st.lists(st.integers(0, 5_000), max_size=20))
@settings(deadline=None, max_examples=30)
def test_no_cut_matters(sizes: list[int]) -> None:
    sound = noise(44_100, 2)
    np.testing.assert_array_equal(frames(sizes, sound, 44_100), frames([], sound, 44_100))


def test_resampling_agrees_with_scipy() -> None:
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * time, dtype=np.float64).astype(np.float32)[:, None]
    ours = frames([], tone, 48_000)
    theirs = resample_poly(tone[:, 0], 1, 3)
    middle = slice(1_000, 15_000)  # the two filters treat the edges differently
    np.testing.assert_allclose(ours[middle], theirs[middle], atol=1e-3)


def test_channels_are_averaged() -> None:
    sound = np.stack([np.full(640, 0.5), np.full(640, -0.1)], axis=1).astype(np.float32)
    np.testing.assert_allclose(frames([], sound, 16_000), 0.2, atol=1e-7)


def test_what_is_no_number_becomes_silence_and_is_counted() -> None:
    chain = AudioFrontend(16_000, 1)
    block = np.full((320, 1), 0.25, np.float32)
    block[3], block[7], block[9] = np.nan, np.inf, -np.inf
    (frame,) = chain.push(block)
    assert chain.invalid_samples == 3
    assert np.flatnonzero(frame == 0).tolist() == [3, 7, 9]


def test_a_drained_chain_begins_anew_at_the_same_place() -> None:
    """Two halves through one chain with a drain between are two chains one behind the other."""
    sound = noise(48_000, 1, 0.2)
    half = len(sound) // 2  # a whole number of frames at 16 kHz
    chain = AudioFrontend(48_000, 1)
    joined = [chain.push(sound[:half]), chain.drain(), chain.push(sound[half:]), chain.finish()]
    apart = np.concatenate([frames([], sound[:half], 48_000), frames([], sound[half:], 48_000)])
    np.testing.assert_array_equal(np.concatenate(joined).ravel(), apart)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
@given(cuts=st.lists(st.integers(0, 40), max_size=30))
def test_pcm_bytes_may_be_cut_anywhere(encoding: str, cuts: list[int]) -> None:
    sound = noise(8_000, 2, 0.02)
    data = encode_pcm(sound, encoding)  # type: ignore[arg-type]
    decoder = PcmDecoder(encoding, 2)  # type: ignore[arg-type]
    blocks, start = [], 0
    for size in [*cuts, len(data)]:
        blocks.append(decoder.push(data[start : start + size]))
        start += size
    step = 1 / 65_536 if encoding == "pcm_s16le" else 0
    np.testing.assert_allclose(np.concatenate(blocks), sound, rtol=0, atol=step)


def test_integers_saturate() -> None:
    assert to_int16(np.array([2.0, 1.0, -1.0, -2.0, 0.5], np.float32)).tolist() == [
        32_767,
        32_767,
        -32_768,
        -32_768,
        16_384,
    ]
