"""A file's own clock: the place of decoded audio by its time stamps, which are rounded, jump or are missing.

Sans-I/O. Positions are in samples at the file's rate, 0 at the zero of its time stamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TOLERANCE_S: Final = 0.05
"""A time stamp that is later than this is a gap. Matroska rounds to a millisecond, MP3 and WMA to a frame (26
and 46 ms), browser recorders stamp a block when they get it; what is left out of a stream is, except for a
single packet, longer."""

_ROUNDING_S: Final = 0.002
"""What time stamps are rounded by, at the most, where they are not those of whole blocks."""

_RESTART_S: Final = 1.0
"""Time stamps that go back further than this begin anew: another stream follows in the same file."""

_PRIMING_S: Final = 0.1
"""What lies so little before zero is an encoder's priming, which no player plays."""

_LONGEST_GAP_S: Final = 24 * 3_600
"""A longer one is a wrong time stamp."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame belongs: after so many samples of silence, without its first `drop` samples."""

    gap: int = 0
    drop: int = 0


_NEXT: Final = Placement()


class FileClock:
    """Places each frame after the one before it. Nothing that was decoded is ever put at an earlier place:
    what overlaps by its time stamps follows instead.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._shift = 0  # added to the time stamps, in samples
        self._began = False
        self._after_loss = False
        self.position = 0  # the end of what was placed
        self.before_zero = 0  # samples by which a first frame lay before zero, though it is no priming
        self.wrong_stamps = 0

    def begin_part(self) -> None:
        """Another file follows, whose time stamps count from its own zero."""
        self._shift = self.position
        self._began = False

    def place(self, at: int | None, samples: int) -> Placement:
        """A frame. at: by its time stamp, in samples; None where it has none."""
        placement = _NEXT if at is None else self._place(at, samples)
        if samples > placement.drop:
            self._began, self._after_loss = True, False
        self.position += placement.gap + samples - placement.drop
        return placement

    def skip(self, samples: int) -> None:
        """So many samples could not be decoded, in a file without time stamps."""
        self.position += samples

    def expect_loss(self) -> None:
        """Something could not be decoded: the next time stamp tells how much, however little."""
        self._after_loss = True

    def _place(self, at: int, samples: int) -> Placement:
        if not self._began and at < 0:
            if -at <= _PRIMING_S * self._rate_hz:
                return Placement(drop=min(samples, -at))
            self._shift, self.before_zero = self._shift - at, -at
            return _NEXT
        offset = at + self._shift - self.position
        tolerance = _ROUNDING_S if self._after_loss else TOLERANCE_S
        if offset > _LONGEST_GAP_S * self._rate_hz:
            self.wrong_stamps += 1
            self._shift -= offset
        elif offset > tolerance * self._rate_hz:
            return Placement(gap=offset)
        elif offset < -_RESTART_S * self._rate_hz:
            self._shift -= offset
        return _NEXT
