"""What is said of a long utterance while somebody still speaks: every so often, of all of it so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..config import SAMPLE_RATE_HZ
from ..inference.request import Priority
from .segmenter import Segmenter, Utterance
from .speculative import PendingAnalysis


class InterimResults:
    """One stream's provisional judgements: at most one under way, none told once the end is decided."""

    def __init__(
        self,
        every_ms: int,
        ask: Callable[[Utterance, Priority], PendingAnalysis],
        show: Callable[[Utterance, PendingAnalysis], Coroutine[Any, Any, None]],
    ) -> None:
        """every_ms: of speech, 0 is never."""
        self._every = every_ms * SAMPLE_RATE_HZ // 1_000
        self._ask = ask
        self._show = show
        self._due: int | None = None
        self._asked: PendingAnalysis | None = None
        self._showing: asyncio.Task[None] | None = None

    def consider(self, segmenter: Segmenter) -> None:
        """After every frame."""
        if not self._every:
            return
        if not segmenter.in_speech:
            self._due = None
            return
        if self._due is None:
            self._due = segmenter.position + self._every
        if segmenter.position < self._due or (self._showing is not None and not self._showing.done()):
            return
        utterance = segmenter.partial_utterance()
        if utterance is not None:
            self._due = segmenter.position + self._every
            self._asked = self._ask(utterance, Priority.INTERIM)
            self._showing = asyncio.create_task(self._show(utterance, self._asked), name="preview")

    def stop(self) -> None:
        """The end is decided: what is under way comes to nothing."""
        self._due = None
        if self._showing is not None and not self._showing.done():
            assert self._asked is not None
            self._showing.cancel()
            self._asked.task.cancel()
            self._asked.request.discard()
        self._showing = None
