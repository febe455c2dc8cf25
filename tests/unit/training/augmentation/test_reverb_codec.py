"""A room rings as long as it was asked to, a codec harms as much; neither moves the sound."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import Samples
from emostream.training.augmentation.codec import MP3, MULAW, OPUS, Codec, codecs, random_codec, through_codec
from emostream.training.augmentation.reverb import impulse_response, random_reverb, reverberate
from tests.support.signals import SECOND, lag, ratio_db, sine, voice
from tests.support.tiny_emotion import noise


def measured_rt60_s(tail: Samples) -> float:
    """Schroeder: the energy still to come falls along a line; from -5 to -35 dB of it, doubled."""
    left = np.cumsum(tail[::-1].astype(np.float64) ** 2)[::-1]
    decay_db = 10 * np.log10(left / left[0])
    fitted = np.flatnonzero((decay_db <= -5) & (decay_db >= -35))
    slope_db, _ = np.polyfit(fitted / SECOND, decay_db[fitted], 1)
    return float(-60 / slope_db)


class TestRoom:
    @pytest.mark.parametrize("rt60_s", [0.15, 0.4, 0.8])
    def test_energy_falls_by_60_db_in_the_time_asked_for(self, rt60_s: float) -> None:
        responses = [impulse_response(rt60_s, 0.0, np.random.default_rng(seed)) for seed in range(8)]
        measured = [measured_rt60_s(response[1:]) for response in responses]
        assert np.mean(measured) == pytest.approx(rt60_s, rel=0.05)
        assert np.std(measured) < 0.1 * rt60_s

    @pytest.mark.parametrize("direct_db", [-3.0, 0.0, 12.0])
    def test_the_direct_sound_comes_first_and_as_strong_as_asked_for(self, direct_db: float) -> None:
        response = impulse_response(0.5, direct_db, np.random.default_rng(0))
        assert response[0] == 1.0
        tail_energy = (response[1:].astype(np.float64) ** 2).sum()
        assert -10 * np.log10(tail_energy) == pytest.approx(direct_db, abs=0.01)

    def test_reverberation_is_a_convolution_of_the_same_power(self) -> None:
        clip, response = noise(3_000), impulse_response(0.3, 0.0, np.random.default_rng(2))
        heard = reverberate(clip, response)
        slow = np.convolve(clip, response)[: len(clip)]
        np.testing.assert_allclose(heard / np.std(heard), slow / np.std(slow), atol=1e-3)
        assert ratio_db(clip, heard) == pytest.approx(0, abs=0.01)

    def test_the_sound_stays_in_its_place(self) -> None:
        for seed in range(20):
            assert abs(lag(random_reverb(voice(), np.random.default_rng(seed)), voice())) <= 2


def needed(codec: Codec) -> Codec:
    if codec not in codecs():
        pytest.skip(f"this FFmpeg does not write {codec.name}")
    return codec


class TestCodec:
    def test_a_telephone_there_always_is(self) -> None:
        assert MULAW in codecs()

    @pytest.mark.parametrize("end", [0, 1])
    @pytest.mark.parametrize("codec", [OPUS, MULAW, MP3], ids=lambda codec: codec.name)
    def test_the_sound_stays_in_its_place(self, codec: Codec, end: int) -> None:
        clip = voice()
        heard = through_codec(clip, needed(codec), codec.kbits[end])
        assert abs(lag(heard, clip)) <= 5 * SECOND // 1000
        assert np.corrcoef(heard, clip)[0, 1] > 0.9
        assert not np.allclose(heard, clip, atol=1e-4)

    @pytest.mark.parametrize("codec", [OPUS, MP3], ids=lambda codec: codec.name)
    def test_fewer_bits_do_more_harm(self, codec: Codec) -> None:
        clip = noise(2 * SECOND)
        low, high = (through_codec(clip, needed(codec), kbits) for kbits in codec.kbits)
        assert ratio_db(clip, low - clip) < ratio_db(clip, high - clip) - 1

    def test_a_telephone_has_half_the_band_and_eight_bits(self) -> None:
        assert ratio_db(sine(5_000), through_codec(sine(5_000), MULAW, 64)) > 40
        tone = 0.3 * sine(1_013)
        error = through_codec(tone, MULAW, 64)[800:-800] - tone[800:-800]
        assert ratio_db(tone, error) == pytest.approx(38, abs=1)  # what G.711 promises at this level

    @pytest.mark.parametrize("codec", [OPUS, MULAW, MP3], ids=lambda codec: codec.name)
    def test_an_overdriven_clip_is_not_clipped_any_further(self, codec: Codec) -> None:
        loud = 8 * voice()
        heard = through_codec(loud, needed(codec), codec.kbits[1])
        assert np.abs(heard).max() == pytest.approx(np.abs(loud).max(), rel=0.2)
        assert ratio_db(loud, heard) == pytest.approx(0, abs=0.5)

    def test_all_of_them_are_drawn(self) -> None:
        heard = [random_codec(voice(0.2), np.random.default_rng(seed)) for seed in range(24)]
        telephone = through_codec(voice(0.2), MULAW, 64)
        assert 0 < sum(np.array_equal(one, telephone) for one in heard) < 24
        again = [random_codec(voice(0.2), np.random.default_rng(seed)) for seed in range(24)]
        np.testing.assert_array_equal(heard, again)
