"""Speech whose bytes are read as something else, and sounds that are read as what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sounds import SOUNDS, a_law, int24, mu_law
from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.audio.input_check import InputCheck
from emostream.streamer.audio.misread_samples import READINGS, MisreadDetector, judge
from tests.support.demo_speech import demo_speech

# What is sent, and what it is told to look like. The companders take every second sample.
SENT: Final[dict[str, tuple[Callable[[Samples], bytes], str]]] = {
    "swapped": (lambda x: encode_pcm(x, "pcm_s16le")[::-1], "the other byte order"),
    "odd": (lambda x: encode_pcm(x, "pcm_s16le")[1:], "begin at an odd byte"),
    "float": (lambda x: x.astype("<f4").tobytes(), "pcm_f32le"),
    "float, swapped": (lambda x: x.astype(">f4").tobytes(), "32-bit float samples in the other byte order"),
    "float, odd": (lambda x: x.astype("<f4").tobytes()[1:], "32-bit float samples that begin"),
    "double": (lambda x: x.astype("<f8").tobytes(), "64-bit float"),
    "int16": (lambda x: encode_pcm(x, "pcm_s16le"), "pcm_s16le"),
    "int24": (int24, "24-bit"),
    "int32": (lambda x: (x * 2**31).astype("<i4").tobytes(), "32-bit integer"),
    "mu-law": (lambda x: mu_law(np.repeat(x, 2)).tobytes(), "mu-law"),
    "A-law": (lambda x: a_law(np.repeat(x, 2)).tobytes(), "A-law"),
}
READ: Final[dict[str, Callable[[bytes], Samples]]] = {
    "pcm_s16le": lambda data: (np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32_768).astype(np.float32),
    "pcm_f32le": lambda data: np.frombuffer(data[: len(data) // 4 * 4], "<f4"),
}


def speech(rate_hz: int) -> Samples:
    wave: Samples = soxr.resample(demo_speech(4_000, 4), 16_000, rate_hz).astype(np.float32)
    return wave


def kinds(wave: Samples, rate_hz: int) -> set[str]:
    return {kind for _, kind in MisreadDetector(rate_hz).push(wave[:, None]) if kind is not None}


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("encoding", READ)
@pytest.mark.parametrize("sent", SENT)
def test_misread_speech_is_told_and_named(sent: str, encoding: str, rate_hz: int) -> None:
    encode, look = SENT[sent]
    found = kinds(READ[encoding](encode(speech(rate_hz))), rate_hz)
    if look == encoding:
        assert not found
    else:
        assert any(look in kind for kind in found), found


@pytest.mark.parametrize("encoding", READ)
def test_bytes_of_no_sound_are_told(encoding: str) -> None:
    data = np.random.default_rng(0).bytes(200_000)
    assert kinds(READ[encoding](data), 16_000)


def test_the_companding_tables_are_those_of_g_711() -> None:
    codes = bytes([0x00, 0x7F, 0x80, 0xFF, 0x55, 0xD5, 0xAA, 0x2A])
    assert READINGS["mu-law samples"](codes)[:4].tolist() == [-32_124, 0, 32_124, 0]
    assert READINGS["A-law samples"](codes)[4:].tolist() == [-8, 8, 32_256, -32_256]


@pytest.mark.parametrize("name", [name for name in SOUNDS if name != "random_bytes"])
@pytest.mark.parametrize("gain", [0.3, 1.0, 30.0])
def test_other_sounds_and_what_clips_are_not_called_misread(name: str, gain: float) -> None:
    wave = np.clip(gain * SOUNDS[name](np.random.default_rng(3)), -1, 1).astype(np.float32)
    for encoding in ("pcm_s16le", "pcm_f32le"):
        assert not kinds(READ[encoding](encode_pcm(wave, encoding)), 16_000)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("level", [0.01, 0.2, 0.6, 3.0])
def test_white_noise_is_not_called_misread(channels: int, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal((48_000, channels))
    both = np.repeat(noise[:, :1], channels, axis=1)
    for wave in (noise, both):
        clipped = encode_pcm(np.clip(level * wave, -1, 1).astype(np.float32), "pcm_s16le")
        block = READ["pcm_s16le"](clipped).reshape(-1, channels)
        assert MisreadDetector(16_000).push(block) == []


@given(st.integers(1, 20_000))
def test_the_result_does_not_depend_on_the_blocks(size: int) -> None:
    swapped = READ["pcm_s16le"](SENT["swapped"][0](speech(16_000)))
    wave = np.concatenate([speech(16_000), swapped, speech(16_000)])[:, None]
    whole = MisreadDetector(16_000).push(wave)
    detector = MisreadDetector(16_000)
    cut = [
        change for first in range(0, len(wave), size) for change in detector.push(wave[first : first + size])
    ]
    assert cut == whole
    assert len(whole) == 2


def judged_one_by_one(wave: Samples, window: int) -> list[tuple[int, str | None]]:
    kind: str | None = None
    changes: list[tuple[int, str | None]] = []
    for end in range(window, len(wave) + 1, window):
        told, found = judge(wave[end - window : end, None])
        if told and found != kind:
            kind = found
            changes.append((end, kind))
    return changes


QUIET_KINDS: Final[dict[str, Callable[[Samples], Samples]]] = {
    "halves": lambda x: np.where(np.arange(len(x)) % 2, x, 0).astype(np.float32),
    "tiny": lambda x: (x * np.float32(2.0**-70)).astype(np.float32),
    "not finite": lambda x: np.where(np.arange(len(x)) % 5, x, np.nan).astype(np.float32),
    "beyond the scale": lambda x: (40 * x).astype(np.float32),
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*SENT, *QUIET_KINDS]),
            st.sampled_from(list(READ)),
            st.sampled_from([0.01, 0.3, 1.0]),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(deadline=None)
def test_no_window_that_needs_a_judgement_is_left_out(parts: list[tuple[str, str, float]]) -> None:
    """Most windows are passed over because of their level and their zeros alone."""
    waves = []
    for sent, encoding, gain in parts:
        sound = (gain * speech(16_000)[: 3 * 8_000]).astype(np.float32)
        waves.append(
            QUIET_KINDS[sent](sound) if sent in QUIET_KINDS else READ[encoding](SENT[sent][0](sound))
        )
    wave = np.concatenate(waves)
    assert MisreadDetector(16_000).push(wave[:, None]) == judged_one_by_one(wave, 8_000)


def test_a_moment_is_judged_by_what_came_before_it() -> None:
    check = InputCheck(16_000)
    good, bad = speech(16_000), READ["pcm_s16le"](SENT["swapped"][0](speech(16_000)))
    _, warnings = check.push(np.concatenate([good, bad, good])[:, None])
    assert [warning.code for warning in warnings] == ["invalid_samples"]
    assert "look like samples in the other byte order" in warnings[0].message
    spans = ((0, 3_900), (3_000, 7_900), (7_000, 7_900), (9_000, 11_900))
    assert [check.is_misread(*span) for span in spans] == [False, True, True, False]
