"""The audio front end of every source: PCM -> mono float32 -> 16 kHz -> frames of 20 ms.

The frames do not depend on how the audio was divided into blocks, bit for bit: mixing works in windows of
its own, soxr's float32 stream keeps its state, the framer keeps the incomplete frame.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
import soxr

from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ
from ..protocol.messages import Encoding
from .downmix import Downmix
from .g711 import Table, alaw_table, mulaw_table

Samples = npt.NDArray[np.float32]

PcmEncoding = Literal["pcm_s16le", "pcm_f32le"]

_DTYPES: Final[dict[Encoding, np.dtype[Any]]] = {
    "pcm_s16le": np.dtype("<i2"),
    "pcm_f32le": np.dtype("<f4"),
    "mulaw": np.dtype(np.uint8),
    "alaw": np.dtype(np.uint8),
}
_COMPANDED: Final[dict[Encoding, Table]] = {"mulaw": mulaw_table(), "alaw": alaw_table()}


_INT16_STEP: Final = np.float32(2.0**-15)
_MAX_AMPLITUDE: Final = np.float32(1_000.0)
"""Times full scale. No recording has that; far beyond it squares and their sums overflow."""


class PcmDecoder:
    """Bytes of interleaved PCM, cut anywhere -> (n, channels) float32 in [-1, 1]."""

    def __init__(self, encoding: Encoding, channels: int) -> None:
        self._dtype = _DTYPES[encoding]
        self._table = _COMPANDED.get(encoding)
        self._channels = channels
        self.frame_bytes = self._dtype.itemsize * channels
        self._rest = b""

    def drop_partial_frame(self) -> None:
        """Forget the bytes of an incomplete sample frame."""
        self._rest = b""

    def peak(self, data: bytes) -> float | None:
        """The largest magnitude of what `push` would return; None where that is not these bytes, no more and
        no less.
        """
        if self._rest or len(data) % self.frame_bytes:
            return None
        if self._table is not None:
            return peak(self._table[np.frombuffer(data, self._dtype)])
        if data.count(0) == len(data):
            return 0.0
        highest = peak(np.frombuffer(data, self._dtype))
        return highest * float(_INT16_STEP) if self._dtype.kind == "i" else highest

    def push(self, data: bytes) -> Samples:
        """The complete frames so far."""
        if self._rest or len(data) % self.frame_bytes:
            data = self._rest + data
            complete = len(data) - len(data) % self.frame_bytes
            data, self._rest = data[:complete], data[complete:]
        block = np.frombuffer(data, self._dtype).reshape(-1, self._channels)
        if self._table is not None:
            decoded: Samples = self._table[block]
            return decoded
        if self._dtype.kind == "i":
            scaled: Samples = np.multiply(block, _INT16_STEP, dtype=np.float32)
            return scaled
        return block.astype(np.float32)


def encode_pcm(block: Samples, encoding: PcmEncoding) -> bytes:
    """(n, channels) float32 -> interleaved bytes; integers are rounded and saturate."""
    if encoding == "pcm_f32le":
        return block.astype("<f4").tobytes()
    return to_int16(block).astype("<i2").tobytes()


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Full scale 1.0 -> 32768, rounded to nearest, saturating."""
    scaled = samples * np.float32(32_768)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, np.float32(32_767), out=scaled)
    np.maximum(scaled, np.float32(-32_768), out=scaled)
    return scaled.astype(np.int16)


def peak(samples: npt.NDArray[Any]) -> float:
    """The largest magnitude, 0 of no samples; NaN where one is NaN."""
    # Two passes that allocate nothing are faster than the maximum of the magnitudes.
    return max(float(samples.max(initial=0)), -float(samples.min(initial=0)))


class _Resampler(Protocol):
    def resample_chunk(self, x: Samples, last: bool = False) -> Samples: ...


class _Closed:
    """In place of a resampler that was freed."""

    def resample_chunk(self, x: Samples, last: bool = False) -> Samples:
        raise ValueError("expected an open front end, got one that was closed")


class AudioFrontend:
    """The blocks of one stream -> frames. `finish` returns the last one, padded with zeros."""

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._rate_hz = sample_rate_hz
        self._downmix = Downmix(sample_rate_hz, channels)
        self._resampler = self._new_resampler()
        self._rest: Samples = np.zeros(0, np.float32)
        self.invalid_samples = 0  # NaN and infinite samples so far: each became silence

    def push(self, block: Samples) -> Samples:
        """block: (n, channels) float32 at the source's rate -> frames, (m, 320) float32."""
        return self._frames(self._resample(self._valid(self._downmix.push(block)), last=False))

    def silence(self, samples: int) -> Samples:
        """`samples` zeros at 16 kHz, after what the resampler still holds."""
        tail = self.drain()
        return np.concatenate([tail, self._frames(np.zeros(samples, np.float32))])

    def drain(self) -> Samples:
        """Return what is held back, and restart the resampler at this sample."""
        rest = self._valid(self._downmix.drain())
        frames = self._frames(self._resample(rest, last=True))
        self._resampler = self._new_resampler()
        return frames

    def finish(self) -> Samples:
        """The end of the stream. The last frame is padded with zeros."""
        frames = self.drain()
        if len(self._rest):
            last = self._frames(np.zeros(FRAME_SAMPLES - len(self._rest), np.float32))
            frames = np.concatenate([frames, last])
        return frames

    @property
    def heard_alone(self) -> int | None:
        """See `Downmix`."""
        return self._downmix.heard_alone

    def close(self) -> None:
        """Free the resampler: at the interpreter's exit its library reports those that something still holds,
        such as the thread of a model that has not answered. Nothing may be pushed any more.
        """
        self._resampler = _Closed()

    def _new_resampler(self) -> _Resampler | None:
        if self._rate_hz == SAMPLE_RATE_HZ:
            return None
        resampler: _Resampler = soxr.ResampleStream(self._rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        return resampler

    def _valid(self, mono: Samples) -> Samples:
        if peak(mono) <= _MAX_AMPLITUDE:  # not of NaN
            return mono
        finite = np.isfinite(mono)
        if not finite.all():
            self.invalid_samples += int(len(mono) - finite.sum())
            mono[~finite] = 0.0
        return np.clip(mono, -_MAX_AMPLITUDE, _MAX_AMPLITUDE, out=mono)

    def _resample(self, mono: Samples, *, last: bool) -> Samples:
        if self._resampler is None:
            return mono
        return self._resampler.resample_chunk(mono, last=last)

    def _frames(self, samples: Samples) -> Samples:
        joined = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        complete = len(joined) - len(joined) % FRAME_SAMPLES
        self._rest = joined[complete:].copy()
        return joined[:complete].reshape(-1, FRAME_SAMPLES)
