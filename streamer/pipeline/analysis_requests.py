"""A session's requests to the inference backend."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

from emostream.models import Clip

from ..config import SegmenterSettings
from ..inference.backend import Analysis, InferenceBackend, PartialTranscription
from ..inference.request import Priority, RequestContext
from .segmenter import Utterance
from .stream_history import NO_HISTORY, PendingHistory, StreamHistory

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class PendingAnalysis:
    """An analysis in progress, the context that holds its priority, and what it depends on of the stream."""

    task: asyncio.Task[Analysis]
    request: RequestContext
    history: PendingHistory = NO_HISTORY


class SessionRequests:
    """Starts analyses of one stream's utterances. None of them outlives the session: see `cancel_all`.

    language: a hint for the transcriber. history: of the stream; None: of none. transcribe: whether there are
    words at all.
    """

    def __init__(
        self,
        backend: InferenceBackend,
        segmenter: SegmenterSettings,
        language: str | None,
        history: StreamHistory | None = None,
        *,
        transcribe: bool = True,
    ) -> None:
        self._backend = backend
        # From the start of a candidate's analysis to the end of its pause.
        self._final_after_s = (segmenter.min_silence_ms - segmenter.tail_ms) / 1_000
        self._language = language
        self._history = history
        self._transcribe = transcribe
        self._tasks: set[asyncio.Task[Any]] = set()

    def analyse(self, utterance: Utterance, priority: Priority, *, words: bool = True) -> PendingAnalysis:
        """With what the finals so far say of the speaker and the language. words: whether to transcribe,
        where there is a transcriber.
        """
        history = NO_HISTORY if self._history is None else self._history.pending
        return self._start(utterance, priority, history, words=words)

    def retry(self, utterance: Utterance, failed: PendingAnalysis) -> PendingAnalysis:
        """As a final, with the same history."""
        return self._start(utterance, Priority.FINAL, failed.history, words=True)

    def _start(
        self, utterance: Utterance, priority: Priority, history: PendingHistory, *, words: bool
    ) -> PendingAnalysis:
        words = words and self._transcribe
        request = self._backend.new_request(priority, self)
        request.interim_words = words and priority is Priority.INTERIM
        request.language = history.language if words else None
        if priority is Priority.CANDIDATE:  # it is requested once its tail has been received
            request.final_after_s = self._final_after_s
        clip = Clip(utterance.samples, self._language)
        analysing = self._backend.analyse(clip, request, words=words, baseline=history.baseline)
        task = asyncio.create_task(analysing, name="analysis")
        return PendingAnalysis(self._track(task), request, history)

    def transcribe_partial(
        self, transcribe: PartialTranscription, utterance: Utterance
    ) -> asyncio.Task[None]:
        """transcribe: the backend's."""
        request = self._backend.new_request(Priority.INTERIM, self)
        clip = Clip(utterance.samples, self._language)
        return self._track(asyncio.create_task(transcribe(clip, request), name="incremental transcription"))

    def cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _track(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, because a discarded candidate has no caller any more
