"""Float samples beyond full scale: of files by their peak, of streams by what has come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emostream.streamer.audio.frontend import Samples
from emostream.streamer.audio.full_scale import LIMIT, StreamScale, peak_beyond_scale
from emostream.streamer.audio.samples import SamplesSource
from emostream.streamer.audio.sources import FileSource, Item, Pcm, SourceWarning
from tests.support.demo_speech import demo_speech
from tests.support.fakes import silence

RATE = 16_000


def sound(times: float, ms: int = 1_500) -> Samples:
    """Silence and speech with a peak of so many times full scale. (n, 1)"""
    speech = demo_speech(ms, 1)
    wave = np.concatenate([silence(300), speech * np.float32(times / np.abs(speech).max())])
    return wave[:, None].astype(np.float32)


def scaled(block: Samples, size: int) -> Samples:
    scale = StreamScale(RATE)
    return np.concatenate([scale.push(block[first : first + size]) for first in range(0, len(block), size)])


@pytest.mark.parametrize("times", [0.01, 0.5, 1.0, 1.9])
def test_a_stream_within_the_limit_stays(times: float) -> None:
    scale, block = StreamScale(RATE), sound(times)
    assert scale.push(block) is block
    assert peak_beyond_scale([block], RATE) is None


@pytest.mark.parametrize("times", [5.0, 20.0, 100.0, 32_768.0, 2.0**31])
def test_a_hot_stream_comes_down_to_full_scale(times: float) -> None:
    scale, block = StreamScale(RATE), sound(times)
    result = scale.push(block)
    assert np.abs(result).max() <= LIMIT
    assert times / 8 <= scale.divisor <= 8 * times
    end = slice(len(block) // 2, None)
    assert np.allclose(result[end], block[end] / scale.divisor)  # nothing is clipped any more


def test_integers_that_were_not_scaled_are_divided_by_their_scale() -> None:
    scale = StreamScale(RATE)
    scale.push(sound(20_000.0))
    assert scale.divisor == 32_768


@given(st.integers(1, 5_000), st.sampled_from([1.0, 3.0, 20.0, 32_768.0]))
def test_the_result_does_not_depend_on_the_blocks(size: int, times: float) -> None:
    block = np.concatenate([sound(1.0, 200), sound(times, 400), sound(3 * times, 200)])
    assert np.array_equal(scaled(block, size), scaled(block, len(block)))


@pytest.mark.parametrize("glitch", [50.0, 1e20, np.inf])
def test_one_broken_sample_does_not_silence_the_rest(glitch: float) -> None:
    block = sound(0.5)
    block[9_000] = glitch
    assert peak_beyond_scale([block], RATE) is None
    scale = StreamScale(RATE)
    result = scale.push(block)
    assert scale.divisor == 1.0
    assert np.array_equal(np.delete(result, 9_000), np.delete(block, 9_000))


def test_values_that_are_not_finite_stay() -> None:
    block = sound(20.0)
    block[12_000], block[12_001] = np.nan, -np.inf
    result = scaled(block, 700)
    assert np.isnan(result[12_000]).all()
    assert np.isneginf(result[12_001]).all()


@pytest.mark.parametrize("size", [100, 1_000, 64_000])
def test_the_peak_of_a_recording_is_exact_however_it_is_cut(size: int) -> None:
    block = sound(20.0)
    cut = [block[first : first + size] for first in range(0, len(block), size)]
    assert peak_beyond_scale(cut, RATE) == np.abs(block).max()
    block[9_000] = 1e9
    assert peak_beyond_scale([block], RATE) == np.abs(np.delete(block, 9_000)).max()


async def items_of(source: FileSource | SamplesSource) -> list[Item]:
    return [item async for item in source.items()]


async def test_a_float_file_is_divided_by_its_peak_and_told(tmp_path: Path) -> None:
    path = tmp_path / "hot.wav"
    block = sound(20.0)
    soundfile.write(path, block, RATE, subtype="FLOAT")
    for source in (FileSource(path), SamplesSource(block, RATE)):
        warning, *rest = await items_of(source)
        assert isinstance(warning, SourceWarning)
        assert "got a peak of 20; they are divided by it" in warning.message
        samples = np.concatenate([item.block for item in rest if isinstance(item, Pcm)])
        assert np.abs(samples).max() == pytest.approx(1.0)
        assert np.allclose(samples, block / 20, atol=1e-6)


async def test_a_recorded_session_stays_as_it_was_heard(tmp_path: Path) -> None:
    path = tmp_path / "hot.wav"
    soundfile.write(path, sound(20.0), RATE, subtype="FLOAT")
    (item,) = await items_of(FileSource(path, as_recorded=True))
    assert isinstance(item, Pcm)
    assert np.abs(item.block).max() == pytest.approx(20.0)


@pytest.mark.filterwarnings("error")
def test_a_signalling_nan_is_no_warning() -> None:
    """Bytes that are no samples hold such, and the first arithmetic with one sets a flag."""
    block = np.full((16_000, 1), 3.0, np.float32)
    block.view(np.uint32)[12_000] = 0x7F80_0001
    scale = StreamScale(16_000)
    scale.push(block)
    assert scale.divisor > 1
    result = scale.push(block)
    assert np.isnan(result[12_000]).all()
    assert np.isfinite(np.delete(result, 12_000)).all()
