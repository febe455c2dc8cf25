"""Work on an utterance in progress, at regular intervals: incremental transcription."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..config import SAMPLE_RATE_HZ
from .segmenter import Segmenter, Utterance


class Work(Protocol):
    """A task, or what behaves like one."""

    def done(self) -> bool: ...

    def cancel(self) -> object: ...


class PartialUtteranceScheduler:
    """Starts work on all of the utterance so far, every `interval_ms` of speech and one piece at a time.

    The beginning of a pause cancels the work: a call that still waits then would come after that for the
    whole utterance.
    """

    def __init__(self, start: Callable[[Utterance], Work], interval_ms: int) -> None:
        self._start = start
        self._interval = interval_ms * SAMPLE_RATE_HZ // 1_000
        self._due: int | None = None
        self._work: Work | None = None

    def consider(self, segmenter: Segmenter) -> None:
        """To be called after every frame."""
        if not segmenter.in_speech or segmenter.candidate is not None:
            self.cancel()
            return
        if self._due is None:
            self._due = segmenter.position + self._interval
        if segmenter.position < self._due or (self._work is not None and not self._work.done()):
            return
        utterance = segmenter.partial_utterance()
        if utterance is not None:
            self._due = segmenter.position + self._interval
            self._work = self._start(utterance)

    def cancel(self) -> None:
        """The utterance has ended: work in progress is of no use any more."""
        self._due = None
        if self._work is not None and not self._work.done():
            self._work.cancel()
        self._work = None
