"""Which audio may wait for what follows it, so that a silent stream wakes its session less often.

The results are the same: only what is no louder than the room waits, see docs/adr/0041-quiet-audio-waits.md.
"""

from __future__ import annotations

from typing import Final

from ..audio.frontend import PcmDecoder

LONGEST_MS: Final = 500
_LEAST: Final = 10 ** (-60 / 20)
_MOST: Final = 10 ** (-40 / 20)
"""Peaks, of full scale: audio up to the first waits, audio beyond the second never does."""
_LOUDER: Final = 1.25
"""Between the two, audio waits that is no louder than this, times what was no speech just now."""


class QuietAudio:
    """The bytes that wait. decoder: of the stream. longest: how many sample frames may wait."""

    def __init__(self, decoder: PcmDecoder, longest: int) -> None:
        self._decoder = decoder
        self._longest = longest
        self._bytes: list[bytes] = []
        self.waiting = 0  # sample frames
        self._peak = 0.0  # since `begin`
        self._level: float | None = None  # the peak of what may wait; None: nothing may

    def add(self, data: bytes) -> bool:
        """Whether these bytes wait too. If not, what waits may not either."""
        if self._level is None or not data:
            return False
        peak = self._decoder.peak(data)
        if peak is None:
            return False
        self._peak = max(self._peak, peak)
        frames = len(data) // self._decoder.frame_bytes
        if not peak <= self._level or self.waiting + frames >= self._longest:
            return False
        self._bytes.append(data)
        self.waiting += frames
        return True

    def take(self) -> bytes:
        """All that waits. Nothing may wait before the next `begin`."""
        data = b"".join(self._bytes)
        self._bytes.clear()
        self.waiting, self._level = 0, None
        return data

    def begin(self, *, idle: bool) -> None:
        """The session has taken all audio. idle: it is between utterances, and has heard nothing that may be
        the beginning of one.
        """
        self._level = min(_MOST, max(_LEAST, _LOUDER * self._peak)) if idle else None
        self._peak = 0.0
