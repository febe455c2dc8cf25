"""Which `dropped` events a stream's gaps become: one each, and one for short ones in a row.

A codec that sends nothing in silence leaves two gaps in every second of a pause.
"""

from __future__ import annotations

from typing import Final

from ..audio.sources import AudioGap
from ..protocol.messages import Dropped

_SHORT_MS: Final = 1_000


class GapReports:
    def __init__(self) -> None:
        self._waiting: Dropped | None = None
        self._waiting_end_ms = 0

    def add(self, gap: AudioGap, at_ms: int) -> list[Dropped]:
        """at_ms: where the gap begins. Returns what is to be reported now, in order."""
        report = Dropped(ms=gap.ms, reason=gap.reason, at_ms=at_ms)
        if not gap.frequent or gap.ms >= _SHORT_MS:
            return [*self.take(), report]
        waiting = self._waiting
        end_ms = at_ms + gap.ms
        if waiting is not None and at_ms - self._waiting_end_ms < _SHORT_MS and waiting.reason == gap.reason:
            self._waiting = Dropped(ms=waiting.ms + gap.ms, reason=gap.reason, at_ms=waiting.at_ms)
            self._waiting_end_ms = end_ms
            return []
        due = self.take()
        self._waiting, self._waiting_end_ms = report, end_ms
        return due

    def take(self) -> list[Dropped]:
        """What has not been reported yet: to be called before speech begins, and at the end."""
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None else [waiting]
