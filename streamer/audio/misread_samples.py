"""Whether samples are what their bytes were meant to be: told from the samples themselves.

Bytes in another order, of another type or off by one are noise as samples, and the same bytes read as what
they are give a smooth wave; noise from a microphone is smooth in no reading. Figures and what else was tried:
docs/adr/0027-misread-samples-by-other-readings.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .frontend import Samples, peak

Wave = npt.NDArray[np.float64]

_WINDOW_S: Final = 0.5
_LOUD: Final = 0.05
"""Mean square, of full scale, of windows that are looked at: misread bytes are all over the scale."""
_AUDIBLE: Final = 1e-4
"""Mean square from which a smooth window tells that the samples are what they should be."""
_INAUDIBLE_PEAK: Final = 32_768 * _AUDIBLE**0.5 * 0.999
"""Of 16-bit integers. Where no sample is louder, the mean square is below `_AUDIBLE`."""
_ROUGH: Final = 0.15
_SMOOTH: Final = 0.3
"""1 - r, r being the correlation of successive samples: 1 for white noise, 0 for a constant."""
_SMOOTHER: Final = 0.5
"""The right reading is smoother by this factor at least."""
_DENSE: Final = 0.3
"""The median level of companded samples is above this, as is that of sounds that clip."""
_SMOOTHER_IF_DENSE: Final = 0.8
"""Of sounds that clip no other reading is smoother at all."""
_CLIPS: Final = 0.02
"""Share of samples at the upper and at the lower end of the scale: a sound that clips."""
_PEAKED: Final = 0.25
"""The median level of a sound, of its peak, is below this in the right reading."""
_IMPLAUSIBLE: Final = 0.1
"""Share of float values that no recording has: not finite, or beyond the scale of 32-bit integers."""
_TINY: Final = 2.0**-60
_HUGE: Final = 2.0**33
_HALF: Final = (0.3, 0.6)
"""Share of the values other than zero where a zero is beside each."""
_EVEN: Final = 0.02
"""Distance of the distribution of levels from the uniform one, in a long window: compressed data."""


class MisreadDetector:
    """Looks at half a second at a time, wherever blocks begin and end.

    kind: what the samples of the last window that could be judged look like, in words; None where they are
    what they should be.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._window = max(1, round(_WINDOW_S * sample_rate_hz))
        self._pending: list[Samples] = []
        self._pending_samples = 0
        self._seen = 0
        self.kind: str | None = None

    def push(self, block: Samples) -> list[tuple[int, str | None]]:
        """block: (n, channels) float32, as it came. The changes of `kind`, each with the number of samples
        from the beginning of the stream to it.
        """
        self._pending.append(block)
        self._pending_samples += len(block)
        if self._pending_samples < self._window:
            return []
        changes = []
        joined = block if len(self._pending) == 1 else np.concatenate(self._pending)
        for first in range(0, len(joined) - self._window + 1, self._window):
            self._seen += self._window
            window = joined[first : first + self._window]
            if self.kind is None and _is_ordinary(window):
                continue
            judged, kind = judge(window)
            if judged and kind != self.kind:
                self.kind = kind
                changes.append((self._seen, kind))
        rest = joined[len(joined) - len(joined) % self._window :].copy()
        self._pending, self._pending_samples = [rest] if len(rest) else [], len(rest)
        return changes


def _is_ordinary(window: Samples) -> bool:
    """Whether what `judge` looks at first, at less than a fifth of its cost, tells already that it finds no
    kind: samples within the scale, none of them tiny and not every other one zero, that are not loud.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        levels = np.abs(window)
        if not levels.max(initial=0.0) <= 1.0:  # nor NaN
            return False
        power = float(np.vdot(window, window))
    nonzero = int(np.count_nonzero(window))
    halves = _HALF[0] * window.size < nonzero < _HALF[1] * window.size
    tiny = nonzero - int(np.count_nonzero(levels >= _TINY))
    return not halves and not tiny and power < 0.99 * _LOUD * window.size  # in single precision


def judge(window: Samples) -> tuple[bool, str | None]:
    """Whether the window can be judged at all, and what its samples look like instead of what they are.

    window: (n, channels) float32, either multiples of 2^-15 in [-1, 1), once 16-bit integers, or any other.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = window * np.float32(32_768)
        highest = peak(scaled)
        is_int16 = highest <= 32_768 and bool((scaled == np.rint(scaled)).all())
    if is_int16:
        if highest < _INAUDIBLE_PEAK:
            return False, None  # quieter than what tells anything
        return _judge_int16(window, scaled)
    return _judge_float(window)


def _judge_int16(window: Samples, scaled: Samples) -> tuple[bool, str | None]:
    wave = window.astype(np.float64)
    loudness, rough = float((wave**2).mean()), roughness(wave)
    if loudness < _LOUD and not _are_halves(window):
        return loudness >= _AUDIBLE and rough < _SMOOTH, None
    if min(float((scaled >= 32_767).mean()), float((scaled <= -32_767).mean())) > _CLIPS:
        return True, None
    dense = bool(np.median(np.abs(wave)) > _DENSE)
    if rough < _ROUGH and not dense:
        return True, None
    data = np.clip(scaled, -32_768, 32_767).astype("<i2").tobytes()
    below = rough * (_SMOOTHER_IF_DENSE if dense else _SMOOTHER)
    kind = _smoothest(data, window.shape[1], "pcm_s16le", below)
    if kind is None and _is_even(wave):
        kind = "compressed or encrypted data"
    return True, kind


def _judge_float(window: Samples) -> tuple[bool, str | None]:
    with np.errstate(invalid="ignore"):
        levels = np.abs(window)
        nonzero = int(np.count_nonzero(levels))
        impossible = nonzero - int(np.count_nonzero((levels > 0) & (levels <= _HUGE)))
        tiny = int(np.count_nonzero((levels > 0) & (levels < _TINY)))
    data, channels = window.astype("<f4").tobytes(), window.shape[1]
    if impossible > _IMPLAUSIBLE * max(nonzero, window.size // 10):
        kind = _smoothest(data, channels, "pcm_f32le", _SMOOTHER)
        return True, kind or "samples of another type, or compressed data"
    if _are_halves(window):
        return True, _smoothest(data, channels, "pcm_f32le", _SMOOTHER)
    if impossible + tiny > _IMPLAUSIBLE * max(nonzero, window.size // 10):
        # A sound that dies away has tiny values too, but is no sound as other floats.
        kind = _smoothest(data, channels, "pcm_f32le", _SMOOTHER)
        right = kind is not None and "float" in kind and _is_audible(READINGS[kind](data))
        return right, kind if right else None
    return nonzero > window.size // 10, None


def _is_audible(wave: Wave) -> bool:
    return _AUDIBLE <= float((wave**2).mean()) <= 1.0


def _are_halves(window: Samples) -> bool:
    """Whether a zero is beside every value, as where 16-bit integers became 32 or 64 bits wide."""
    if not _HALF[0] * window.size < np.count_nonzero(window) < _HALF[1] * window.size:
        return False
    wave = window.astype(np.float64)
    return float((wave**2).mean()) >= _AUDIBLE and abs(roughness(wave) - 1) < _SMOOTHER


def roughness(wave: Wave) -> float:
    """1 - r, r being the correlation of successive rows, over all columns; 1 where it is not defined.

    wave: (n, channels). A constant offset does not count.
    """
    wave = wave - wave.mean(axis=0)
    energy = float((wave**2).sum())
    if not np.isfinite(energy) or energy <= 0.0:
        return 1.0
    return float((np.diff(wave, axis=0) ** 2).sum()) / (2 * energy)


def _is_even(wave: Wave) -> bool:
    """Whether all levels of the scale are equally frequent, as of no sound."""
    found = np.quantile(wave, _SHARES)
    return bool(np.abs(found - (2 * _SHARES - 1)).max() < _EVEN + 3 / np.sqrt(wave.size))


_SHARES: Final = np.linspace(0.05, 0.95, 19)


def _smoothest(data: bytes, channels: int, given: str, below: float) -> str | None:
    """The reading of these bytes that is smoothest, where it is smoother than `below`."""
    best, smoothest = None, below
    for name, read in READINGS.items():
        wave = read(data)
        if name == given or len(wave) < 4 * channels:
            continue
        # Where channels are alike, other readings of noise repeat themselves: not over two rows.
        rough = max(
            _roughness_of(wave, columns) for columns in sorted({channels, channels * min(channels, 2)})
        )
        if rough < smoothest and _is_peaked(wave):
            best, smoothest = name, rough
    return best


def _roughness_of(wave: Wave, columns: int) -> float:
    return roughness(wave[: len(wave) // columns * columns].reshape(-1, columns))


def _is_peaked(wave: Wave) -> bool:
    median, peak = np.quantile(np.abs(wave), (0.5, 0.999))
    return bool(median < _PEAKED * peak)


def _typed(dtype: str, shift: int = 0) -> Callable[[bytes], Wave]:
    width = np.dtype(dtype).itemsize

    def read(data: bytes) -> Wave:
        part = data[shift:]
        values = np.frombuffer(part[: len(part) // width * width], dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            wave = values.astype(np.float64)
            # A wave: no huge value makes all others look smooth.
            return wave if np.isfinite(wave).all() and np.abs(wave).max(initial=0.0) < _HUGE else wave[:0]

    return read


def _int24(data: bytes) -> Wave:
    """Packed 24-bit samples, at the one of the three beginnings that is smoothest."""
    waves = []
    for shift in range(3):
        part = np.frombuffer(data[shift:], np.uint8)
        triples = part[: len(part) // 3 * 3].reshape(-1, 3).astype(np.int32)
        waves.append((triples[:, 0] << 8 | triples[:, 1] << 16 | triples[:, 2] << 24).astype(np.float64))
    return min(waves, key=lambda wave: roughness(wave[:, None]))


def _expanded(table: Wave) -> Callable[[bytes], Wave]:
    return lambda data: table[np.frombuffer(data, np.uint8)]


def _mu_law_table() -> Wave:
    """ITU-T G.711: linear values of the 256 code words."""
    code = ~np.arange(256) & 255
    magnitude = ((((code & 15) << 3) + 132) << (code >> 4 & 7)) - 132
    return np.where(code & 128, -magnitude, magnitude).astype(np.float64)


def _a_law_table() -> Wave:
    """ITU-T G.711: linear values of the 256 code words."""
    code = np.arange(256) ^ 0x55
    exponent = code >> 4 & 7
    mantissa = ((code & 15) << 4) + 8
    magnitude = np.where(exponent > 0, (mantissa + 256) << np.maximum(exponent - 1, 0), mantissa)
    return np.where(code & 128, magnitude, -magnitude).astype(np.float64)


READINGS: Final[dict[str, Callable[[bytes], Any]]] = {
    "pcm_s16le": _typed("<i2"),
    "samples in the other byte order (big endian)": _typed(">i2"),
    "samples that begin at an odd byte": _typed("<i2", 1),
    "pcm_f32le": _typed("<f4"),
    "32-bit float samples in the other byte order": _typed(">f4"),
    "32-bit float samples that begin one byte late": _typed("<f4", 1),
    "32-bit float samples that begin two bytes late": _typed("<f4", 2),
    "32-bit float samples that begin three bytes late": _typed("<f4", 3),
    "64-bit float samples": _typed("<f8"),
    "32-bit integer samples": _typed("<i4"),
    "24-bit samples": _int24,
    "mu-law samples": _expanded(_mu_law_table()),
    "A-law samples": _expanded(_a_law_table()),
    "8-bit samples": lambda data: np.frombuffer(data, np.uint8) - 128.0,
    "signed 8-bit samples": lambda data: np.frombuffer(data, np.int8).astype(np.float64),
}
"""By name: bytes -> (n,) samples, of any scale."""
