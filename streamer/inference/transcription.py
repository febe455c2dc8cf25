"""The calls of a transcriber: whole utterances, the words so far, and work ahead of time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from emostream.models import (
    Clip,
    ConcurrentTranscriber,
    IncrementalTranscriber,
    InterimTranscriber,
    LanguageDetector,
    Transcriber,
    Transcript,
)

from ..clock import Clock
from .backend import PartialTranscription
from .batcher import Batcher, TimedResult, result_of
from .model_worker import ModelWorker
from .request import RequestContext, RequestShedError
from .shutdown import SHUTDOWN_MESSAGE, ShutdownGrace

log = logging.getLogger(__name__)

_PARTIAL_RETRY_S: Final = 10.0
"""Pause of incremental transcription after a failure: it is requested ten times a second."""


class Transcription:
    """Of one transcriber, which has a thread for each call that it takes at once. worker: to be served by the
    engine. recordings: whether clips that may tell their language themselves are transcribed before that of
    their stream is known.
    """

    def __init__(
        self,
        transcriber: Transcriber,
        clock: Clock,
        shutdown: ShutdownGrace,
        call_timeout_s: float | None,
        *,
        recordings: bool = False,
    ) -> None:
        self._clock = clock
        self._shutdown = shutdown
        self._no_partial_until = -math.inf
        calls = transcriber.concurrent_calls if isinstance(transcriber, ConcurrentTranscriber) else 1
        self.worker = worker = ModelWorker("asr", call_timeout_s, calls)
        self._whole = Batcher[Clip, Transcript](
            transcriber.transcribe, worker, clock, cost=lambda _: 1.0, budget=transcriber.batch_size
        )
        interim = (
            transcriber.transcribe_interim
            if isinstance(transcriber, InterimTranscriber)
            else transcriber.transcribe
        )
        self._interim = Batcher[Clip, Transcript](interim, worker, clock, cost=lambda _: 1.0, budget=1.0)
        # Shorter clips wait for the language of the utterances before.
        self._own_language_from_s = math.inf
        if recordings and isinstance(transcriber, LanguageDetector):
            self._own_language_from_s = transcriber.own_language_from_s
        self._partial: Batcher[Clip, None] | None = None
        if isinstance(transcriber, IncrementalTranscriber):
            self._partial = Batcher[Clip, None](
                _one_by_one(transcriber.transcribe_partial),
                worker,
                clock,
                cost=lambda _: 1.0,
                budget=1.0,
            )

    async def transcript(
        self, clip: Clip, request: RequestContext
    ) -> tuple[TimedResult[Transcript] | None, str | None]:
        """The transcript, or why there is none."""
        batcher = self._interim if request.interim_words else self._whole
        call = self._call(batcher, clip, request)
        transcribing = asyncio.create_task(result_of(call), name="transcribe")
        try:
            if not await self._shutdown.completes(transcribing):
                return None, SHUTDOWN_MESSAGE
        finally:
            transcribing.cancel()
        transcribed = transcribing.result()
        if isinstance(transcribed, Exception):
            log.error("the transcriber failed on %.1f s of audio", clip.seconds, exc_info=transcribed)
            return (
                None,
                f"the transcriber failed: {transcribed}; this utterance is classified from audio only",
            )
        return transcribed, None

    async def _call(
        self, batcher: Batcher[Clip, Transcript], clip: Clip, request: RequestContext
    ) -> TimedResult[Transcript]:
        """With the language of the stream, where that makes a difference."""
        if request.language is None:
            return await batcher.submit(clip, request)
        if clip.seconds >= self._own_language_from_s:
            transcribed = await batcher.submit(clip, request)
            transcript = transcribed.value
            if transcript.language_certain:
                return transcribed
            expected = await request.language.wait()
            if expected is None or expected == transcript.language:
                return transcribed
        clip = replace(clip, expected_language=await request.language.wait())
        return await batcher.submit(clip, request)

    @property
    def partial(self) -> PartialTranscription | None:
        """None where the transcriber cannot work incrementally."""
        return None if self._partial is None else partial(self._transcribe_partial, self._partial)

    async def _transcribe_partial(
        self, batcher: Batcher[Clip, None], clip: Clip, request: RequestContext
    ) -> None:
        if self._clock.now() < self._no_partial_until:
            return
        try:
            await batcher.submit(clip, request)
        except RequestShedError:
            return
        except Exception as error:  # no words are lost: the final transcribes them, and reports a failure
            self._no_partial_until = self._clock.now() + _PARTIAL_RETRY_S
            log.warning("incremental transcription failed: %s", error)


def _one_by_one(call: Callable[[Clip], None]) -> Callable[[Sequence[Clip]], list[None]]:
    def calls(clips: Sequence[Clip]) -> list[None]:
        for clip in clips:
            call(clip)
        return [None] * len(clips)

    return calls
