"""Words while somebody still speaks: a transcriber that can work ahead is shown the utterance so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..config import SAMPLE_RATE_HZ
from .segmenter import Segmenter, Utterance

_EVERY_SAMPLES: Final = SAMPLE_RATE_HZ // 10


class IncrementalTranscription:
    """One stream's: at most one call that waits. What is left when the pause begins takes that much less."""

    def __init__(self, listen: Callable[[Utterance], asyncio.Task[None]]) -> None:
        self._listen = listen
        self._due: int | None = None
        self._listening: asyncio.Task[None] | None = None

    def consider(self, segmenter: Segmenter) -> None:
        """After every frame."""
        if not segmenter.in_speech or segmenter.candidate is not None:
            self.stop()
            return
        if self._due is None:
            self._due = segmenter.position + _EVERY_SAMPLES
        if segmenter.position < self._due or (self._listening is not None and not self._listening.done()):
            return
        utterance = segmenter.partial_utterance()
        if utterance is not None:  # it is certain that somebody speaks
            self._due = segmenter.position + _EVERY_SAMPLES
            self._listening = self._listen(utterance)

    def stop(self) -> None:
        """It may be the end: a call that still waits for its turn would come after that of the whole clip."""
        self._due = None
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
