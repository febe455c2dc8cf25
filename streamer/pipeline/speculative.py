"""Speculative analysis: it begins with a pause, before the end of the utterance is decided.

Every endpointer waits for silence before it decides that an utterance has ended; this uses that time. The
analysis of a candidate is used when the final holds the candidate's samples, and discarded when the speech
goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..inference.backend import Analysis
from ..inference.request import Priority, RequestContext
from .analysis_requests import PendingAnalysis
from .segmenter import Utterance


class SpeculativeAnalysis:
    """Of one stream: at most one candidate at a time, and none while a model computes a discarded one."""

    def __init__(
        self,
        analyse: Callable[[Utterance, Priority], PendingAnalysis],
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """count: called with the outcomes of candidates: started, used, discarded, shed."""
        self._analyse = analyse
        self._count = count
        self._candidate: Utterance | None = None
        self._pending: PendingAnalysis | None = None
        self._discarded: RequestContext | None = None

    def consider(self, candidate: Utterance | None) -> None:
        """candidate: the segmenter's at present."""
        if candidate is self._candidate:
            return
        self._discard()
        self._candidate = candidate
        if candidate is None:
            return
        if self._discarded is not None and self._discarded.running_calls:
            self._count("shed")
            return
        self._count("started")
        self._pending = self._analyse(candidate, Priority.CANDIDATE)

    def claim(self, final: Utterance) -> PendingAnalysis | None:
        """The analysis of a final, with a final's priority from now on; None where none was started or it
        failed.
        """
        candidate, pending = self._candidate, self._pending
        if (
            pending is None
            or candidate is None
            or candidate.samples is not final.samples
            or _failed(pending.task)
        ):
            self._discard()
            return None
        self._candidate = self._pending = None
        pending.request.priority = Priority.FINAL
        self._count("used")
        return pending

    def _discard(self) -> None:
        if self._pending is not None:
            self._pending.task.cancel()
            self._pending.request.discard()
            self._discarded = self._pending.request
            self._count("discarded")
        self._candidate = self._pending = None


def _failed(task: asyncio.Task[Analysis]) -> bool:
    """A candidate without a prediction, or without a transcript that it should have, is tried again as a
    final.
    """
    if not task.done():
        return False
    if task.cancelled() or task.exception() is not None:
        return True
    return task.result().asr_error is not None
