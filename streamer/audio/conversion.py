"""FFmpeg's decoded frames -> blocks of float32 at one rate and one number of channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import av.error
import numpy as np

from ..errors import SourceError
from ..plurals import counted
from .frontend import Samples
from .memory_file import Recording


class BlockConverter:
    """path: for messages.

    Frames may change their format, where files were joined end to end: other rates are resampled, other
    channels mixed down and repeated.
    """

    def __init__(self, path: Recording, sample_rate_hz: int, channels: int) -> None:
        self._path = path
        self._rate_hz = sample_rate_hz
        self._channels = channels
        self._format: tuple[str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def push(self, frame: Any) -> Samples:
        """(n, channels). What the resampler held of another format comes first. Raises SourceError."""
        held = np.zeros((0, self._channels), np.float32)
        if self._resampler is None or self._format != (frame.layout.name, frame.sample_rate):
            held = self.finish()
            self._format = (frame.layout.name, frame.sample_rate)
            self._resampler = self._new_resampler(frame)
        try:
            return self._joined([held, *self._blocks(self._resampler.resample(frame))])
        except (av.error.FFmpegError, ValueError) as error:
            raise self._not_convertible(frame, error) from error

    def finish(self) -> Samples:
        """What the resampler still holds: nothing, unless the rate was converted."""
        resampler, self._resampler = self._resampler, None
        converted = self._format is not None and self._format[1] != self._rate_hz
        parts = resampler.resample(None) if resampler is not None and converted else []
        return self._joined([np.zeros((0, self._channels), np.float32), *self._blocks(parts)])

    def _new_resampler(self, frame: Any) -> av.AudioResampler:
        try:
            return av.AudioResampler(format="flt", layout=frame.layout.name, rate=self._rate_hz)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._not_convertible(frame, error) from error

    def _blocks(self, parts: list[Any]) -> Iterator[Samples]:
        for part in parts:
            block = part.to_ndarray().reshape(-1, part.layout.nb_channels).astype(np.float32, copy=False)
            if block.shape[1] != self._channels:
                block = np.repeat(block.mean(axis=1, keepdims=True), self._channels, axis=1)
            yield block

    def _joined(self, blocks: list[Samples]) -> Samples:
        filled = [block for block in blocks if len(block)]
        if len(filled) == 1:
            return filled[0]
        return np.concatenate(filled) if filled else blocks[0]

    def _not_convertible(self, frame: Any, error: Exception) -> SourceError:
        channels = counted(frame.layout.nb_channels, "channel")
        return SourceError(
            f"expected sound that FFmpeg can convert in {self._path}, got {channels} "
            f"({frame.layout.name}) at {frame.sample_rate} Hz: {error}; convert the file"
        )
