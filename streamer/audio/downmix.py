"""Several channels -> one: their mean, or the loudest of them where they cancel each other.

A balanced line that was recorded as stereo has the opposite of the left channel on the right, and a mean of
nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.float32]

_WINDOWS_PER_S: Final = 50
_MEMORY: Final = 0.96
"""Of the energies, a window: half a second."""

_CANCELS: Final = 0.1
_ADDS: Final = 0.3
"""Energy of the mean, of what it is for channels that have nothing in common: below the first they cancel,
above the second no more. A single channel with sound has 1, two equal ones 2."""

_FLOOR: Final = 1e-10
"""Mean square, of full scale: -100 dB. What is quieter changes nothing."""

_LOUD: Final = 1e-6
_TOLD_WINDOWS: Final = 10


class Downmix:
    """In windows of its own, so that the result does not depend on how the sound was cut into blocks. Up to
    20 ms are held back, until it is known whether the channels cancel.

    heard_alone: the channel, from 1, that was taken instead for 0.2 s of sound or more; None where none was.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._channels = channels
        self._window = max(1, sample_rate_hz // _WINDOWS_PER_S)
        self._rest: Block = np.zeros((0, channels), np.float32)
        self._energies = [0.0] * channels
        self._mixed = 0.0
        self._instead: int | None = None  # the channel that is taken now, from 0
        self._windows_instead = 0
        self.heard_alone: int | None = None

    def push(self, block: Block) -> Block:
        """(n, channels), finite or not -> (m,)."""
        if self._channels == 1:
            return block[:, 0].astype(np.float32, copy=True)
        joined = np.concatenate([self._rest, block]) if len(self._rest) else block
        complete = len(joined) - len(joined) % self._window
        self._rest = joined[complete:].astype(np.float32, copy=True)
        body = joined[:complete]
        mono = self._mean(body)
        energies = np.stack([_energies(body[:, channel], self._window) for channel in range(self._channels)])
        mixed = _energies(mono, self._window)
        for number, (each, of_mix) in enumerate(zip(energies.T.tolist(), mixed.tolist(), strict=True)):
            instead = self._decide(each, of_mix)
            if instead is not None:
                span = slice(number * self._window, (number + 1) * self._window)
                mono[span] = body[span, instead]
        return mono

    def drain(self) -> Block:
        """What is held back."""
        rest, self._rest = self._rest, np.zeros((0, self._channels), np.float32)
        if self._instead is not None:
            return rest[:, self._instead].copy()
        return self._mean(rest)

    def _decide(self, energies: list[float], mixed: float) -> int | None:
        """The channel to take instead of the mean for a window."""
        self._energies = [
            before * _MEMORY + now for before, now in zip(self._energies, energies, strict=True)
        ]
        self._mixed = self._mixed * _MEMORY + mixed
        total = sum(self._energies)
        if total <= _FLOOR * self._window:
            return self._instead
        share = self._mixed * self._channels**2 / total
        if self._instead is None and share < _CANCELS:
            self._instead = self._energies.index(max(self._energies))
        elif self._instead is not None and share > _ADDS:
            self._instead = None
        if self._instead is not None and sum(energies) > _LOUD * self._window:
            self._windows_instead += 1
            if self._windows_instead >= _TOLD_WINDOWS and self.heard_alone is None:
                self.heard_alone = self._instead + 1
        return self._instead

    def _mean(self, block: Block) -> Block:
        # Channel by channel: numpy's own mean over a short axis may sum in another order for
        # another block length, and the last bit would differ.
        mono = block[:, 0].astype(np.float32, copy=True)
        with np.errstate(over="ignore", invalid="ignore"):  # counted as invalid by the front end
            for channel in range(1, self._channels):
                mono += block[:, channel]
        if self._channels > 1:
            mono /= np.float32(self._channels)
        return mono


def _energies(channel: Block, window: int) -> npt.NDArray[np.float64]:
    """(n * window,) -> (n,), without a constant offset; NaN and infinity count as silence."""
    windows = np.ascontiguousarray(channel).reshape(-1, window)
    with np.errstate(over="ignore", invalid="ignore"):
        energies = _without_offset(windows)
    if not np.isfinite(energies).all():
        energies = _without_offset(np.nan_to_num(windows.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0))
    return energies


def _without_offset(windows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    centred = windows - windows.mean(axis=1, keepdims=True)
    energies: npt.NDArray[np.float64] = np.einsum("nw,nw->n", centred, centred).astype(np.float64)
    return energies
