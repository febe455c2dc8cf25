"""A session's requests to the inference backend."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

from emostream.models import Clip

from ..config import SegmenterSettings
from ..inference.backend import Analysis, InferenceBackend, PartialTranscription
from ..inference.baseline import PendingBaseline
from ..inference.request import Priority, RequestContext
from .running_baseline import RunningBaseline
from .segmenter import Utterance

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class PendingAnalysis:
    """An analysis in progress, the context that holds its priority, and the speaker's baseline that it is
    judged against.
    """

    task: asyncio.Task[Analysis]
    request: RequestContext
    baseline: PendingBaseline | None = None


class SessionRequests:
    """Starts analyses of one stream's utterances. None of them outlives the session: see `cancel_all`.

    language: a hint for the transcriber. baseline: of the stream's speaker; None: none is used. transcribe:
    whether there are words at all.
    """

    def __init__(
        self,
        backend: InferenceBackend,
        segmenter: SegmenterSettings,
        language: str | None,
        baseline: RunningBaseline | None = None,
        *,
        transcribe: bool = True,
    ) -> None:
        self._backend = backend
        # From the start of a candidate's analysis to the end of its pause.
        self._final_after_s = (segmenter.min_silence_ms - segmenter.tail_ms) / 1_000
        self._language = language
        self._baseline = baseline
        self._transcribe = transcribe
        self._tasks: set[asyncio.Task[Any]] = set()

    def analyse(self, utterance: Utterance, priority: Priority, *, words: bool = True) -> PendingAnalysis:
        """Judged against what the finals so far say of the speaker. words: whether to transcribe, where there
        is a transcriber.
        """
        baseline = None if self._baseline is None else self._baseline.pending
        return self._start(utterance, priority, baseline, words=words)

    def retry(self, utterance: Utterance, failed: PendingAnalysis) -> PendingAnalysis:
        """As a final, judged against the same baseline."""
        return self._start(utterance, Priority.FINAL, failed.baseline, words=True)

    def _start(
        self, utterance: Utterance, priority: Priority, baseline: PendingBaseline | None, *, words: bool
    ) -> PendingAnalysis:
        words = words and self._transcribe
        request = self._backend.new_request(priority, self)
        request.interim_words = words and priority is Priority.INTERIM
        if priority is Priority.CANDIDATE:  # it is requested once its tail has been received
            request.final_after_s = self._final_after_s
        clip = Clip(utterance.samples, self._language)
        analysing = self._backend.analyse(clip, request, words=words, baseline=baseline)
        task = asyncio.create_task(analysing, name="analysis")
        return PendingAnalysis(self._track(task), request, baseline)

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
