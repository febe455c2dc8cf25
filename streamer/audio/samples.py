"""Samples in memory as a source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, SourceError
from ..protocol.error_codes import ErrorCode
from .frontend import Samples
from .full_scale import peak_beyond_scale
from .sources import Item, Pcm, SourceWarning, beyond_scale

_BLOCK_S: Final = 4
_MAX_CHANNELS: Final = 64


class SamplesSource:
    """samples: see `as_float`."""

    def __init__(self, samples: Samples, sample_rate_hz: int) -> None:
        self._samples = samples
        self.sample_rate_hz = sample_rate_hz
        self.channels = samples.shape[1]
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def items(self) -> AsyncIterator[Item]:
        size = _BLOCK_S * self.sample_rate_hz
        peak = peak_beyond_scale([self._samples], self.sample_rate_hz)
        if peak is not None:
            yield SourceWarning(ErrorCode.INVALID_SAMPLES, beyond_scale(peak))
        for first in range(0, len(self._samples), size):
            if self._stopped:
                return
            block = self._samples[first : first + size]
            yield Pcm(block if peak is None else block / np.float32(peak))


def check_rate(sample_rate_hz: int | None) -> int:
    """Raises ConfigError."""
    if sample_rate_hz is None or not 1_000 <= sample_rate_hz <= 768_000:
        raise ConfigError(
            f"expected sample_rate_hz of 1000 to 768000 with samples, got {sample_rate_hz}; pass it"
        )
    return sample_rate_hz


def as_float(samples: npt.NDArray[Any]) -> Samples:
    """(n,) or (n, channels), float in [-1, 1] or integers at full scale -> (n, channels) float32.

    Raises ConfigError, and SourceError where there are none.
    """
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= _MAX_CHANNELS):
        raise ConfigError(
            f"expected samples of the shape (n,) or (n, channels) with at most {_MAX_CHANNELS} channels, "
            f"got {samples.shape}; transpose them"
        )
    if not (np.issubdtype(samples.dtype, np.floating) or np.issubdtype(samples.dtype, np.signedinteger)):
        raise ConfigError(f"expected float or signed integer samples, got {samples.dtype}; convert them")
    if not len(samples):
        raise SourceError("expected audio, got no samples; pass at least one")
    columns = samples.reshape(len(samples), -1)
    if np.issubdtype(columns.dtype, np.signedinteger):
        return (columns / -float(np.iinfo(columns.dtype).min)).astype(np.float32)
    return columns.astype(np.float32)
