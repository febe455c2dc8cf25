"""Which channels of a source are heard: mixed down to one, one of them, or each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ..config import Channels
from ..errors import SourceError
from .frontend import AudioFrontend, Samples

MAX_SPLIT: Final = 16
"""Channels that are heard each on its own: every one costs as much as a stream."""

_SILENT: Final = 10 ** (-60 / 20)
"""The peak below which a channel is silent, of full scale; ten times that is sound."""


def heard_channels(selection: Channels, channels: int, what: str) -> tuple[int | None, ...]:
    """The number of each channel that is heard, from 1; None is all of them, mixed. what: the source, for the
    message. Raises SourceError where it has no such channel.
    """
    if selection == "mix":
        return (None,)
    has = "one channel" if channels == 1 else f"{channels} channels"
    if selection == "split":
        if channels > MAX_SPLIT:
            raise SourceError(
                f"expected at most {MAX_SPLIT} channels to split in {what}, which has {has}; choose one, "
                "or mix"
            )
        return tuple(range(1, channels + 1))
    if not 1 <= selection <= channels:
        raise SourceError(
            f"expected a channel of 1 to {channels} in {what}, which has {has}, got {selection}; "
            "choose another, mix or split"
        )
    return (selection,)


class ChannelFrontends:
    """The front ends of the channels that are heard: blocks of a source -> frames of each, always as many."""

    def __init__(self, sample_rate_hz: int, channels: int, heard: Sequence[int | None]) -> None:
        self._heard = heard
        self._frontends = [
            AudioFrontend(sample_rate_hz, channels if number is None else 1) for number in heard
        ]
        self._peaks = np.zeros(channels, np.float32)

    def push(self, block: Samples) -> list[Samples]:
        """block: (n, channels) at the source's rate -> (m, 320) of each channel that is heard."""
        if self._heard != (None,):
            finite = np.nan_to_num(np.abs(block), nan=0.0, posinf=0.0)
            self._peaks = np.maximum(self._peaks, finite.max(axis=0, initial=0.0))
        return [
            frontend.push(block if number is None else block[:, number - 1 : number])
            for number, frontend in zip(self._heard, self._frontends, strict=True)
        ]

    def silence(self, samples: int) -> list[Samples]:
        return [frontend.silence(samples) for frontend in self._frontends]

    def drain(self) -> list[Samples]:
        return [frontend.drain() for frontend in self._frontends]

    def finish(self) -> list[Samples]:
        return [frontend.finish() for frontend in self._frontends]

    def close(self) -> None:
        """See `AudioFrontend.close`."""
        for frontend in self._frontends:
            frontend.close()

    @property
    def invalid_samples(self) -> int:
        return sum(frontend.invalid_samples for frontend in self._frontends)

    @property
    def heard_alone(self) -> int | None:
        """The channel that was taken where mixing would have cancelled the sound; None where nowhere."""
        return next((one.heard_alone for one in self._frontends if one.heard_alone is not None), None)

    def silent_beside(self) -> tuple[int, int] | None:
        """The channel that is heard, where it is silent so far, and a channel that is not."""
        if len(self._heard) != 1 or (number := self._heard[0]) is None or self._peaks[number - 1] >= _SILENT:
            return None
        loudest = int(np.argmax(self._peaks))
        return (number, loudest + 1) if self._peaks[loudest] >= 10 * _SILENT else None
