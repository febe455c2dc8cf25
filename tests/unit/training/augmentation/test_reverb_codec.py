"""Reverberation has the given decay time, a codec the expected distortion; neither shifts the audio."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import Samples
from emostream.training.augmentation.codec import MP3, MULAW, OPUS, Codec, codecs, random_codec, through_codec
from emostream.training.augmentation.reverb import impulse_response, random_reverb, reverberate
from tests.support.signals import SECOND, lag, ratio_db, sine, voice
from tests.support.tiny_emotion import noise


def measured_rt60_s(tail: Samples) -> float:
    """Schroeder: the remaining energy falls along a line; its slope from -5 to -35 dB, extrapolated."""
    remaining = np.cumsum(tail[::-1].astype(np.float64) ** 2)[::-1]
    decay_db = 10 * np.log10(remaining / remaining[0])
    fitted = np.flatnonzero((decay_db <= -5) & (decay_db >= -35))
    slope_db, _ = np.polyfit(fitted / SECOND, decay_db[fitted], 1)
    return float(-60 / slope_db)


class TestReverb:
    @pytest.mark.parametrize("rt60_s", [0.15, 0.4, 0.8])
    def test_energy_falls_by_60_db_in_the_given_time(self, rt60_s: float) -> None:
        responses = [impulse_response(rt60_s, 0.0, np.random.default_rng(seed)) for seed in range(8)]
        measured = [measured_rt60_s(response[1:]) for response in responses]
        assert np.mean(measured) == pytest.approx(rt60_s, rel=0.05)
        assert np.std(measured) < 0.1 * rt60_s

    @pytest.mark.parametrize("direct_db", [-3.0, 0.0, 12.0])
    def test_the_direct_sound_comes_first_and_has_the_given_level(self, direct_db: float) -> None:
        response = impulse_response(0.5, direct_db, np.random.default_rng(0))
        assert response[0] == 1.0
        tail_energy = (response[1:].astype(np.float64) ** 2).sum()
        assert -10 * np.log10(tail_energy) == pytest.approx(direct_db, abs=0.01)

    def test_reverberation_is_a_convolution_of_the_same_power(self) -> None:
        clip, response = noise(3_000), impulse_response(0.3, 0.0, np.random.default_rng(2))
        reverberant = reverberate(clip, response)
        slow = np.convolve(clip, response)[: len(clip)]
        np.testing.assert_allclose(reverberant / np.std(reverberant), slow / np.std(slow), atol=1e-3)
        assert ratio_db(clip, reverberant) == pytest.approx(0, abs=0.01)

    def test_reverb_does_not_shift_the_audio(self) -> None:
        for seed in range(20):
            assert abs(lag(random_reverb(voice(), np.random.default_rng(seed)), voice())) <= 2


def require(codec: Codec) -> Codec:
    if codec not in codecs():
        pytest.skip(f"this FFmpeg has no encoder for {codec.name}")
    return codec


class TestCodec:
    def test_mu_law_is_always_available(self) -> None:
        assert MULAW in codecs()

    @pytest.mark.parametrize("end", [0, 1])
    @pytest.mark.parametrize("codec", [OPUS, MULAW, MP3], ids=lambda codec: codec.name)
    def test_a_codec_does_not_shift_the_audio(self, codec: Codec, end: int) -> None:
        clip = voice()
        decoded = through_codec(clip, require(codec), codec.kbits[end])
        assert abs(lag(decoded, clip)) <= 5 * SECOND // 1000
        assert np.corrcoef(decoded, clip)[0, 1] > 0.9
        assert not np.allclose(decoded, clip, atol=1e-4)

    @pytest.mark.parametrize("codec", [OPUS, MP3], ids=lambda codec: codec.name)
    def test_fewer_bits_distort_more(self, codec: Codec) -> None:
        clip = noise(2 * SECOND)
        low, high = (through_codec(clip, require(codec), kbits) for kbits in codec.kbits)
        assert ratio_db(clip, low - clip) < ratio_db(clip, high - clip) - 1

    def test_mu_law_has_half_the_band_and_eight_bits(self) -> None:
        assert ratio_db(sine(5_000), through_codec(sine(5_000), MULAW, 64)) > 40
        tone = 0.3 * sine(1_013)
        error = through_codec(tone, MULAW, 64)[800:-800] - tone[800:-800]
        assert ratio_db(tone, error) == pytest.approx(
            38, abs=1
        )  # G.711's signal-to-distortion ratio at this level

    @pytest.mark.parametrize("codec", [OPUS, MULAW, MP3], ids=lambda codec: codec.name)
    def test_a_clip_over_full_scale_is_not_clipped(self, codec: Codec) -> None:
        loud = 8 * voice()
        decoded = through_codec(loud, require(codec), codec.kbits[1])
        assert np.abs(decoded).max() == pytest.approx(np.abs(loud).max(), rel=0.2)
        assert ratio_db(loud, decoded) == pytest.approx(0, abs=0.5)

    def test_every_codec_is_drawn(self) -> None:
        first = [random_codec(voice(0.2), np.random.default_rng(seed)) for seed in range(24)]
        telephone = through_codec(voice(0.2), MULAW, 64)
        assert 0 < sum(np.array_equal(clip, telephone) for clip in first) < 24
        second = [random_codec(voice(0.2), np.random.default_rng(seed)) for seed in range(24)]
        np.testing.assert_array_equal(first, second)
