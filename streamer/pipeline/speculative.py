"""Bets that a pause will last: the analysis of a candidate begins before its end is decided.

Every endpointer waits for silence before it may say that an utterance is over; this is what the wait is
used for. A bet is won when the final holds the candidate's samples, and lost when somebody speaks on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..inference.backend import Analysis
from ..inference.request import Priority, RequestContext
from .segmenter import Utterance


@dataclass(frozen=True, slots=True, eq=False)
class PendingAnalysis:
    """An analysis under way, and how much it is wanted."""

    task: asyncio.Task[Analysis]
    request: RequestContext


class SpeculativeAnalysis:
    """One stream's bets: at most one at a time, and none while the models are at work on one that is lost."""

    def __init__(
        self,
        ask: Callable[[Utterance, Priority], PendingAnalysis],
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """count: called with the outcomes of candidates: started, used, discarded, shed."""
        self._ask = ask
        self._count = count
        self._utterance: Utterance | None = None
        self._asked: PendingAnalysis | None = None
        self._lost: RequestContext | None = None

    def consider(self, candidate: Utterance | None) -> None:
        """candidate: the segmenter's, as it stands now."""
        if candidate is self._utterance:
            return
        self._lose()
        self._utterance = candidate
        if candidate is None:
            return
        if self._lost is not None and self._lost.running_calls:
            self._count("shed")
            return
        self._count("started")
        self._asked = self._ask(candidate, Priority.CANDIDATE)

    def claim(self, final: Utterance) -> PendingAnalysis | None:
        """The analysis of a final, wanted as one from now on; None where none was begun or it failed."""
        won, asked = self._utterance, self._asked
        if asked is None or won is None or won.samples is not final.samples or _failed(asked.task):
            self._lose()
            return None
        self._utterance = self._asked = None
        asked.request.priority = Priority.FINAL
        self._count("used")
        return asked

    def _lose(self) -> None:
        if self._asked is not None:
            self._asked.task.cancel()
            self._asked.request.discard()
            self._lost = self._asked.request
            self._count("discarded")
        self._utterance = self._asked = None


def _failed(task: asyncio.Task[Analysis]) -> bool:
    """A candidate that has no judgement, or none of the words, is tried again as a final."""
    if not task.done():
        return False
    if task.cancelled() or task.exception() is not None:
        return True
    return task.result().asr_error is not None
