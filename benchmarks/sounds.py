"""Sounds without speech, made up, and speech whose bytes were read as something else.

For benchmarks and tests: all determined by a seed, mono float64 at 16 kHz in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from emostream.models import SAMPLE_RATE_HZ as RATE
from emostream.models import Samples

Wave = npt.NDArray[np.float64]
Rng = np.random.Generator


def _times(seconds: float) -> Wave:
    return np.arange(int(seconds * RATE)) / RATE


def _scaled(wave: Wave, peak: float = 0.4) -> Wave:
    return np.asarray(wave * (peak / np.abs(wave).max()), dtype=float)


def _tone(hz: float, seconds: float, harmonics: int = 1) -> Wave:
    """Harmonics with amplitudes of 1 / k."""
    phase = 2 * np.pi * hz * _times(seconds)
    return np.asarray(sum(np.sin(k * phase) / k for k in range(1, harmonics + 1)))


def _band(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    spectrum = np.fft.rfft(wave)
    frequencies = np.fft.rfftfreq(len(wave), 1 / RATE)
    spectrum[(frequencies < low_hz) | (frequencies > high_hz)] = 0
    return np.fft.irfft(spectrum, len(wave))


def _resonances(source: Wave, *peaks: tuple[float, float]) -> Wave:
    """Two-pole resonators in series. peaks: frequency and bandwidth in Hz."""
    for hz, bandwidth in peaks:
        radius = np.exp(-np.pi * bandwidth / RATE)
        poles = [1, -2 * radius * np.cos(2 * np.pi * hz / RATE), radius**2]
        source = np.asarray(lfilter([1 - radius], poles, source))
    return source


def _pulses(hz: Wave) -> Wave:
    """One pulse a period. hz: (N,) the frequency at every sample."""
    return (np.diff(np.floor(np.cumsum(hz) / RATE), prepend=0) > 0).astype(np.float64)


def _placed(seconds: float, parts: list[tuple[float, Wave]]) -> Wave:
    """parts: each with the second at which it begins."""
    wave = np.zeros(int(seconds * RATE))
    for start_s, part in parts:
        start = int(start_s * RATE)
        end = min(len(wave), start + len(part))
        wave[start:end] += part[: end - start]
    return wave


def _noise(rng: Rng, seconds: float, decay: float = 0.0) -> Wave:
    times = _times(seconds)
    return rng.standard_normal(len(times)) * np.exp(-decay * times)


def claps(rng: Rng) -> Wave:
    starts = 0.2 + 0.33 * np.arange(8) + rng.uniform(-0.03, 0.03, 8)
    high_hz = rng.uniform(2_500, 6_000)
    return _scaled(_placed(3, [(at, _band(_noise(rng, 0.08, 60), 500, high_hz)) for at in starts]), 0.5)


def ring_tone(rng: Rng) -> Wave:
    """A telephone's ringing or dial tone: two sines."""
    pairs = ((440, 480), (400, 450), (350, 440), (425, 425))
    low, high = pairs[rng.integers(len(pairs))]
    return _placed(4, [(0.5, 0.2 * (_tone(low, 2) + _tone(high, 2)))])


def trill(rng: Rng) -> Wave:
    """An electronic ringer: two notes in fast alternation, half a second on, half a second off."""
    times = _times(3)
    hz = np.where((times * rng.uniform(15, 25)).astype(int) % 2, 1_000.0, 1_320.0)
    on = (2 * times).astype(int) % 2
    return np.asarray(0.3 * np.sin(2 * np.pi * np.cumsum(hz) / RATE) * on, dtype=float)


def keypad_tones(rng: Rng) -> Wave:
    low, high = rng.choice([697, 770, 852, 941], 10), rng.choice([1_209, 1_336, 1_477], 10)
    tones = [0.2 * (_tone(a, 0.15) + _tone(b, 0.15)) for a, b in zip(low, high, strict=True)]
    return _placed(3, [(0.25 * place, tone) for place, tone in enumerate(tones)])


def mains_hum(rng: Rng) -> Wave:
    wave = _scaled(_tone(rng.choice([50, 60]), 4, harmonics=11), 0.3)
    return np.asarray(wave * (_times(4) % 2 < rng.choice([1.2, 2.0])), dtype=float)


def chords(rng: Rng) -> Wave:
    """Plucked, three notes of eight harmonics each, twice a second."""
    parts = []
    for place in range(8):
        root = 262 * 2 ** (rng.integers(-5, 8) / 12)
        notes = np.sum([_tone(root * ratio, 0.5, harmonics=8) for ratio in (1, 1.26, 1.5)], 0)
        parts.append((0.5 * place, notes * np.exp(-4 * _times(0.5))))
    return _scaled(_placed(4, parts))


def melody(rng: Rng) -> Wave:
    """Sustained notes of six harmonics, like an organ's."""
    notes = [_tone(262 * 2 ** (step / 12), 0.3, harmonics=6) for step in rng.integers(-5, 13, 10)]
    window = np.minimum(1, np.minimum(_times(0.3), _times(0.3)[::-1]) / 0.03)
    return _scaled(_placed(3, [(0.3 * place, note * window) for place, note in enumerate(notes)]))


def gliding_tone(rng: Rng) -> Wave:
    """One voice that glides over an octave, with vibrato, like a theremin's."""
    times = _times(4)
    hz = 200 * 2 ** (0.5 * np.sin(2 * np.pi * rng.uniform(0.3, 0.5) * times))
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * times))) / RATE
    return _scaled(np.asarray(sum(np.sin(k * phase) / k for k in range(1, 6))))


def laugh(rng: Rng) -> Wave:
    """Voiced bursts five times a second through the formants of an open vowel, a breath after each."""
    parts, at = [], 0.3
    while at < 2.4:
        seconds = rng.uniform(0.09, 0.13)
        hz = rng.uniform(180, 320) * np.linspace(1.1, 0.9, len(_times(seconds)))
        source = _pulses(hz) + 0.02 * rng.standard_normal(len(hz))
        burst = _resonances(source, (750, 90), (1_250, 110), (2_600, 160)) * np.hanning(len(hz))
        breath = _resonances(0.03 * _noise(rng, 0.06), (750, 200), (1_250, 250), (2_600, 300))
        parts += [(at, burst), (at + seconds, breath * np.hanning(len(breath)))]
        at += rng.uniform(0.19, 0.24)
    return _scaled(_placed(3, parts))


def breaths(rng: Rng) -> Wave:
    parts = []
    for place in range(3):
        breath = _band(_noise(rng, rng.uniform(0.4, 0.9)), 300, 5_000)
        parts.append((0.3 + 1.4 * place, breath * np.hanning(len(breath))))
    return _scaled(_placed(5, parts), 0.1)


def cough(rng: Rng) -> Wave:
    coughs = [_resonances(_noise(rng, 0.25, 12), (600, 300), (1_500, 400)) for _ in range(2)]
    return _scaled(_placed(2, [(0.3, coughs[0]), (0.8, coughs[1])]))


def snoring(rng: Rng) -> Wave:
    parts = []
    for place in range(3):
        source = _pulses(np.full(int(1.2 * RATE), rng.uniform(35, 60))) + 0.1 * _noise(rng, 1.2)
        parts.append((2.0 * place, _resonances(source, (400, 150), (1_100, 300)) * np.hanning(len(source))))
    return _scaled(_placed(6, parts), 0.3)


def engine(rng: Rng) -> Wave:
    wander = 1 + 0.03 * np.cumsum(rng.standard_normal(4 * RATE)) / 200
    source = _pulses(rng.uniform(25, 90) * wander) + 0.02 * _noise(rng, 4)
    return _scaled(_resonances(source, (rng.uniform(100, 300), 60), (rng.uniform(500, 900), 200)))


def typing(rng: Rng) -> Wave:
    starts = 0.2 + np.cumsum(rng.uniform(0.08, 0.25, 20))
    return _scaled(_placed(4, [(at, _noise(rng, 0.02, 250)) for at in starts if at < 3.9]))


def white_noise(rng: Rng) -> Wave:
    return 0.1 * _noise(rng, 3)


def square_wave(rng: Rng) -> Wave:
    return 0.2 * np.sign(_tone(rng.uniform(80, 600), 2))


def sweep(rng: Rng) -> Wave:
    return 0.3 * np.sin(2 * np.pi * np.cumsum(np.linspace(rng.uniform(50, 200), 4_000, 3 * RATE)) / RATE)


def random_bytes(rng: Rng) -> Wave:
    """Compressed or encrypted data, read as 16-bit samples."""
    return np.frombuffer(rng.bytes(6 * RATE), "<i2") / 32_768


SOUNDS: Final[dict[str, Callable[[Rng], Wave]]] = {
    make.__name__: make
    for make in (
        claps,
        ring_tone,
        trill,
        keypad_tones,
        mains_hum,
        chords,
        melody,
        gliding_tone,
        laugh,
        breaths,
        cough,
        snoring,
        engine,
        typing,
        white_noise,
        square_wave,
        sweep,
        random_bytes,
    )
}


def _int16(speech: Samples) -> npt.NDArray[np.int16]:
    return np.clip(np.round(speech * 32_767.0), -32_768, 32_767).astype("<i2")


def _as_int16(data: bytes) -> Wave:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32_768


def mu_law(speech: Samples) -> npt.NDArray[np.uint8]:
    """G.711 code words at 8 kHz, from every second sample."""
    pcm = _int16(speech)[::2].astype(int)
    magnitude = np.minimum(np.abs(pcm) >> 2, 8_158) + 33
    exponent = np.clip(np.log2(magnitude).astype(int) - 5, 0, 7)
    code = ((pcm < 0) << 7) | (exponent << 4) | ((magnitude >> (exponent + 1)) & 15)
    return np.asarray(~code & 255, dtype=np.uint8)


def a_law(speech: Samples) -> npt.NDArray[np.uint8]:
    """G.711 code words at 8 kHz, from every second sample."""
    pcm = _int16(speech)[::2].astype(int)
    magnitude = np.minimum(np.abs(pcm) >> 3, 4_095)
    exponent = np.where(magnitude < 32, 0, np.clip(np.log2(np.maximum(magnitude, 1)).astype(int) - 4, 1, 7))
    mantissa = (magnitude >> np.maximum(exponent, 1)) & 15
    return np.asarray((((pcm >= 0) << 7) | (exponent << 4) | mantissa) ^ 0x55, dtype=np.uint8)


def _from_8_khz(codes: Wave) -> Wave:
    return np.interp(np.arange(2 * len(codes)) / 2, np.arange(len(codes)), codes)


def _int16_as_float(speech: Samples) -> Wave:
    with np.errstate(invalid="ignore"):  # signalling NaNs among them
        values = np.frombuffer(_int16(speech)[: len(speech) // 2 * 2].tobytes(), "<f4").astype(np.float64)
    return np.clip(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)


def int24(speech: Samples) -> bytes:
    """Packed, little endian."""
    wide = np.round(speech * 8_388_607.0).astype("<i4")
    return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


MISREAD: Final[dict[str, Callable[[Samples], Wave]]] = {
    "bytes swapped": lambda speech: _int16(speech).byteswap() / 32_768,
    "off by one byte": lambda speech: _as_int16(_int16(speech).tobytes()[1:]),
    "float32 as int16": lambda speech: _as_int16(speech.astype("<f4").tobytes()),
    "int16 as float32": _int16_as_float,
    "int24 as int16": lambda speech: _as_int16(int24(speech)),
    "int16 as 8 bits": lambda speech: (np.frombuffer(_int16(speech).tobytes(), np.uint8) - 128.0) / 128,
    "mu-law as int16": lambda speech: _as_int16(mu_law(speech).tobytes()),
    "mu-law as unsigned 8 bits": lambda speech: _from_8_khz((mu_law(speech) - 128.0) / 128),
    "mu-law as signed 8 bits": lambda speech: _from_8_khz(mu_law(speech).view(np.int8) / 128),
    "A-law as unsigned 8 bits": lambda speech: _from_8_khz((a_law(speech) - 128.0) / 128),
    "A-law as signed 8 bits": lambda speech: _from_8_khz(a_law(speech).view(np.int8) / 128),
    "unsigned as signed 8 bits": lambda speech: (
        (np.round(speech * 127.0) + 128).astype(np.uint8).view(np.int8) / 128
    ),
}
"""Speech, encoded in one way and decoded in another."""
