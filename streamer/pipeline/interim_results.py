"""Interim results of the utterance in progress: its emotion and its words so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ..config import SAMPLE_RATE_HZ
from ..errors import AnalysisError
from ..inference.backend import Analysis
from ..inference.interim_budget import RESERVE_S, InterimBudget
from ..inference.request import Priority, RequestShedError
from .analysis_requests import PendingAnalysis, SessionRequests
from .interim_text import InterimText, TextSoFar
from .segmenter import Segmenter, Utterance

_GAP: Final = SAMPLE_RATE_HZ * 80 // 1_000
"""Samples without speech after which a word has probably ended. Its words are on the screen before the tail
of the pause has passed and the analysis of the candidate begins; most gaps inside words are shorter."""

_NEW_SPEECH: Final = SAMPLE_RATE_HZ * 100 // 1_000
"""Samples of speech since the last call, before a gap is worth another one."""

SendInterim = Callable[[Utterance, PendingAnalysis, Analysis, TextSoFar | None], Coroutine[Any, Any, None]]
"""Sends the event. The text is None where interim results carry no words."""


@dataclass(frozen=True, slots=True)
class InterimIntervals:
    """Samples of speech between two interim results. words: between two with words; 0 for none."""

    emotion: int
    words: int

    @classmethod
    def from_ms(cls, emotion_ms: int, words_ms: int) -> InterimIntervals:
        return cls(emotion_ms * SAMPLE_RATE_HZ // 1_000, words_ms * SAMPLE_RATE_HZ // 1_000)


class InterimResults:
    """Starts an analysis of the utterance so far at the intervals, one at a time, and sends its result.

    Words are also transcribed at each gap between words, and a candidate's are sent as soon as they are
    known, before its pause has lasted. All within the budget, half of which is kept for the gaps: where it is
    used up, results have no new words, and come at the longer interval.
    """

    def __init__(
        self,
        requests: SessionRequests,
        budget: InterimBudget,
        intervals: InterimIntervals,
        send: SendInterim,
    ) -> None:
        self._requests = requests
        self._budget = budget
        self._intervals = intervals
        self._send = send
        # The utterance in progress.
        self._text = InterimText()
        self._shown_until = 0  # the position up to which results have been sent
        self._due: int | None = None
        self._words_due = 0
        self._words_until = 0  # the position up to which words were requested
        self._pending: PendingAnalysis | None = None
        self._sending: asyncio.Task[None] | None = None
        self._sending_candidate: asyncio.Task[None] | None = None

    def consider(self, segmenter: Segmenter) -> None:
        """To be called after every frame."""
        if not segmenter.in_speech:
            self.cancel()
            return
        if segmenter.candidate is not None:
            self._cancel_waiting()
            return
        position = segmenter.position
        if self._due is None:
            self._due = position + self._intervals.emotion
            self._words_due = position + self._intervals.words
            self._words_until = position
        if self._sending is not None and not self._sending.done():
            return
        words = self._take_words(segmenter)
        if not words and position < self._due:
            return
        utterance = segmenter.partial_utterance()
        if utterance is None:
            if words:
                self._budget.give_back()
            return
        if words:
            self._words_due, self._words_until = position + self._intervals.words, position
        self._start(utterance, words=words)
        self._due = position + self._intervals.emotion

    def _take_words(self, segmenter: Segmenter) -> bool:
        """Whether words are due, and within the budget."""
        if not self._intervals.words:
            return False
        if self._at_gap(segmenter):
            return self._budget.take()
        return segmenter.position >= self._words_due and self._budget.take(RESERVE_S)

    def _at_gap(self, segmenter: Segmenter) -> bool:
        end = segmenter.speech_end
        return segmenter.position - end >= _GAP and end - self._words_until >= _NEW_SPEECH

    def _start(self, utterance: Utterance, *, words: bool) -> None:
        pending = self._requests.analyse(utterance, Priority.INTERIM, words=words)
        if words:
            pending.task.add_done_callback(lambda _: self._budget.give_back())
        self._pending = pending
        self._sending = asyncio.create_task(self._send_result(utterance, pending), name="interim result")

    def add_candidate(self, utterance: Utterance, pending: PendingAnalysis) -> None:
        """The analysis of a candidate has begun: it costs nothing more to show its words."""
        if self._intervals.words:
            sending = self._send_result(utterance, pending)
            self._sending_candidate = asyncio.create_task(sending, name="interim result")

    async def _send_result(self, utterance: Utterance, pending: PendingAnalysis) -> None:
        """An event that is not final, unless the models have no time for it, or a later one has been sent."""
        try:
            analysis = await asyncio.shield(pending.task)  # a candidate's goes on without this
        except (RequestShedError, AnalysisError):
            return
        if utterance.decided_at <= self._shown_until:
            return
        self._shown_until = utterance.decided_at
        text: TextSoFar | None = None
        if self._intervals.words:
            spoken = analysis.transcript
            text = self._text.current if spoken is None else self._text.add(spoken.text)
        await self._send(utterance, pending, analysis, text)

    def _cancel_waiting(self) -> None:
        """In a pause the candidate brings the words: what has not begun would only come after it."""
        if self._pending is None or not self._intervals.words:
            return
        request = self._pending.request
        if not request.running_calls and "asr" not in request.compute_by_model:
            self._cancel_pending()

    def cancel(self) -> None:
        """The utterance has ended: work in progress is of no use any more."""
        self._cancel_pending()
        if self._sending_candidate is not None:
            self._sending_candidate.cancel()
            self._sending_candidate = None
        if self._due is not None:
            self._due, self._text = None, InterimText()

    def _cancel_pending(self) -> None:
        if self._pending is None or self._sending is None:
            return
        if not self._sending.done():
            self._sending.cancel()
            self._pending.task.cancel()
            self._pending.request.discard()
        self._pending = self._sending = None
