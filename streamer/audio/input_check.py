"""What is wrong with the samples of a stream, told once each; what can be mended is."""

from __future__ import annotations

from typing import Final

from ..protocol.error_codes import ErrorCode
from .frontend import Samples
from .full_scale import StreamScale
from .misread_samples import MisreadDetector
from .sources import SourceWarning

_INT16: Final = 2.0**15


class InputCheck:
    """Takes a source's blocks before anything else does."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._misread = MisreadDetector(sample_rate_hz)
        self._scale = StreamScale(sample_rate_hz)
        self._changes: list[tuple[int, str | None]] = []
        self._reported_misread = False
        self._reported_scale = False

    def push(self, block: Samples, gaps_ms: int = 0) -> tuple[Samples, list[SourceWarning]]:
        """The block, scaled where it is beyond full scale, and what is to be told now.

        block: (n, channels). gaps_ms: how much of the clock before it was gaps.
        """
        warnings: list[SourceWarning] = []
        for at, kind in self._misread.push(block):
            self._changes.append((at * 1_000 // self._rate_hz + gaps_ms, kind))
            if kind is not None and not self._reported_misread:
                self._reported_misread = True
                warnings.append(_misread(kind))
        scaled = self._scale.push(block)
        if self._scale.divisor > 1.0 and not self._reported_scale:
            self._reported_scale = True
            warnings.append(_scaled(self._scale.divisor))
        return scaled, warnings

    def is_misread(self, start_ms: int, end_ms: int) -> bool:
        """Whether samples in this part of the stream are not what they should be. What comes later does not
        change it.
        """
        before_end = [(at, kind) for at, kind in self._changes if at <= end_ms]
        found = [kind for at, kind in before_end if at > start_ms] + [kind for _, kind in before_end[-1:]]
        return any(kind is not None for kind in found)


def _misread(kind: str) -> SourceWarning:
    return SourceWarning(
        ErrorCode.INVALID_SAMPLES,
        f"expected samples of the announced encoding, got bytes that look like {kind}; they get no emotion: "
        "announce what is sent, or convert it",
    )


def _scaled(divisor: float) -> SourceWarning:
    return SourceWarning(
        ErrorCode.INVALID_SAMPLES,
        "expected float samples from -1 to 1, got louder ones"
        + (", as of integers that were not scaled" if divisor >= _INT16 else "")
        + f"; they are divided by {divisor:.0f} from here on, send them at full scale 1",
    )
