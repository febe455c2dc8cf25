"""The models in this process: their threads, the batchers in front of them, and the order of their calls."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from emostream.models import (
    Alignment,
    Clip,
    ConcurrentTranscriber,
    EncodedAudio,
    IncrementalTranscriber,
    Prediction,
    PretrainedTranscriber,
    Recognizer,
    SpeakerBaseline,
    SpeechDetector,
    SpeechPresence,
    Transcriber,
    Transcript,
)

from ..clock import Clock
from ..concurrency import task_group
from ..errors import AnalysisError
from .backend import Analysis, Health, ModelInfo, PartialTranscription
from .baseline import PendingBaseline
from .batcher import Batcher, TimedResult
from .capacity import Capacity
from .defects import find_defect
from .interim_budget import InterimBudget
from .metrics import Metrics
from .model_worker import ModelWorker
from .request import ComputeTime, Priority, RequestContext, RequestShedError
from .shutdown import SHUTDOWN_MESSAGE, ShutdownGrace

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds of padded audio in one forward pass of the emotion model. A transcriber's cost counts clips: it
# groups them by itself.
_EMOTION_BUDGET: Final = 64.0

# Pause of incremental transcription after a failure: it is requested ten times a second.
_PARTIAL_RETRY_S: Final = 10.0

# Between two utterances of continuous speech, in `warm_up`.
_PAUSE_S: Final = 1.4


AlignInput = tuple[Clip, Transcript | None]
FuseInput = tuple[EncodedAudio, Transcript | None, Alignment, SpeakerBaseline | None]


class Engine:
    """Five calls: detect speech, transcribe, encode, align, fuse; and `transcribe_partial`, for a transcriber
    that works incrementally. Each model has one thread, and batches of its own.

    Without speech there are no further calls. The audio encoder runs while the transcriber runs; alignment
    and fusion wait for both, and fusion for the speaker's baseline.

    speech_detector: None takes every utterance for speech. call_timeout_s: how long a model may work on an
    utterance before its caller gives up; None is without limit. voice_probe: see `voice_probe`; without it
    enrolled speakers are refused.
    """

    def __init__(
        self,
        transcriber: Transcriber | None,
        recognizer: Recognizer,
        clock: Clock,
        *,
        speech_detector: SpeechDetector | None = None,
        call_timeout_s: float | None = None,
        voice_probe: tuple[float, ...] | None = None,
    ) -> None:
        self.transcriber = transcriber
        self.recognizer = recognizer
        self.compute_time = ComputeTime()
        self.metrics = Metrics(self.compute_time)
        self.interim_budget = InterimBudget(lambda: self.capacity, self.compute_time.interim_words_s, clock)
        self._clock = clock
        self._voice_probe = voice_probe
        self._no_partial_until = -math.inf
        self._shutdown = ShutdownGrace(clock)
        self._emotion_worker = ModelWorker("emotion", call_timeout_s)
        # An aligner is a model of its own: while it searches, other utterances are encoded and fused.
        self._align_worker = ModelWorker("align", call_timeout_s)
        self.workers = [self._emotion_worker, self._align_worker]
        self._detect: Batcher[Clip, SpeechPresence] | None = None
        if speech_detector is not None:
            worker = ModelWorker("speech", call_timeout_s)
            self.workers.append(worker)
            self._detect = Batcher[Clip, SpeechPresence](
                speech_detector.detect, worker, clock, cost=lambda _: 1.0, budget=1.0
            )
        self._transcribe: Batcher[Clip, Transcript] | None = None
        self._transcribe_interim: Batcher[Clip, Transcript] | None = None
        self._partial: Batcher[Clip, None] | None = None
        if transcriber is not None:
            self._add_transcriber(transcriber, ModelWorker("asr", call_timeout_s))
        # Registered first: an utterance that is nearly done goes before one that has just come.
        self._fuse = Batcher[FuseInput, Prediction](
            self._call_fuse,
            self._emotion_worker,
            clock,
            cost=lambda item: item[0].seconds,
            budget=_EMOTION_BUDGET,
        )
        self._encode = Batcher[Clip, EncodedAudio](
            recognizer.encode,
            self._emotion_worker,
            clock,
            cost=lambda clip: clip.seconds,
            budget=_EMOTION_BUDGET,
        )
        # One after the other, so that the first need not wait for the last.
        self._align = Batcher[AlignInput, Alignment](
            self._call_align, self._align_worker, clock, cost=lambda _: 1.0, budget=1.0
        )

    def _add_transcriber(self, transcriber: Transcriber, worker: ModelWorker) -> None:
        self.workers.append(worker)
        self._transcribe = Batcher[Clip, Transcript](
            transcriber.transcribe, worker, self._clock, cost=lambda _: 1.0, budget=transcriber.batch_size
        )
        self._transcribe_interim = self._transcribe
        if isinstance(transcriber, ConcurrentTranscriber) and transcriber.concurrent_calls > 1:
            # A call cannot be interrupted: a candidate would wait for it, and then its final.
            interim_worker = ModelWorker("asr interim", worker.call_timeout_s)
            self.workers.append(interim_worker)
            self._transcribe_interim = Batcher[Clip, Transcript](
                transcriber.transcribe, interim_worker, self._clock, cost=lambda _: 1.0, budget=1.0
            )
        if isinstance(transcriber, IncrementalTranscriber):
            self._partial = Batcher[Clip, None](
                _one_by_one(transcriber.transcribe_partial),
                worker,
                self._clock,
                cost=lambda _: 1.0,
                budget=1.0,
            )

    @property
    def model_info(self) -> ModelInfo:
        """Waits for a transcriber that is still loading."""
        asr = None if self.transcriber is None else self.transcriber.name
        recognizer = self.recognizer
        source = self.transcriber.source if isinstance(self.transcriber, PretrainedTranscriber) else None
        return ModelInfo(
            asr,
            recognizer.name,
            recognizer.device,
            recognizer.labels,
            asr_source=source,
            baseline=recognizer.baseline,
            voice_probe=self._voice_probe,
        )

    @property
    def capacity(self) -> Capacity:
        return Capacity([partial(self._busy_s, worker) for worker in self.workers])

    def _busy_s(self, worker: ModelWorker) -> float:
        return worker.busy_s - self.compute_time.interim_words.get(worker.name, 0.0)

    def health(self) -> Health:
        """Unresponsive while a model has worked on one call for longer than it may."""
        problems = tuple(problem for worker in self.workers if (problem := worker.health_problem) is not None)
        return Health(any(worker.unresponsive for worker in self.workers), problems)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """The batchers run inside this context."""
        try:
            async with task_group() as group:
                loops = [
                    group.create_task(worker.serve(), name=f"serve {worker.name}") for worker in self.workers
                ]
                yield self
                for loop in loops:
                    loop.cancel()
        finally:
            for worker in self.workers:
                worker.close()

    def begin_shutdown(self) -> None:
        """From now on transcripts that take long are not waited for."""
        self._shutdown.begin()

    async def warm_up(self, clip: Clip) -> float:
        """What a stream costs that consists of such clips, as a share of the busiest model's time: with the
        pause after each, and half as much again for discarded candidates and interim results.

        Raises AnalysisError, and RequestShedError where the models have too much to do.
        """
        # Not as a final: it would share a batch with a client's, and change the last digits of it.
        request = self.new_request(Priority.INTERIM)
        await self._analyse_speech(clip, request, None, None, words=True)
        return 1.5 * max(request.compute_by_model.values()) / (clip.seconds + _PAUSE_S)

    def new_request(self, priority: Priority, stream: object = None) -> RequestContext:
        """For one analysis. stream: the one it belongs to, if any."""
        return RequestContext(priority, self.compute_time, self._clock.now(), stream)

    @property
    def transcribe_partial(self) -> PartialTranscription | None:
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

    async def analyse(
        self,
        clip: Clip,
        request: RequestContext,
        *,
        words: bool = True,
        baseline: PendingBaseline | None = None,
    ) -> Analysis:
        """words: whether to transcribe, where there is a transcriber. baseline: of the speaker, waited for
        before fusion; None: judge against the common one.

        Raises AnalysisError where there is speech and no prediction; without a transcript there still is one.
        Raises RequestShedError where the models have no time for a request that is not a final.
        """
        if self._detect is None:
            return await self._analyse_speech(clip, request, None, baseline, words=words)
        detected = await _result(self._detect.submit(clip, request))
        if isinstance(detected, Exception):
            raise AnalysisError(f"the speech detector failed: {detected}") from detected
        waited_s = detected.waited_s + detected.took_s
        if detected.value.reason is not None:
            return Analysis(None, (), None, None, waited_s, 0.0, 0.0, 0.0, detected.value)
        analysis = await self._analyse_speech(clip, request, detected.value, baseline, words=words)
        return replace(analysis, queue_s=analysis.queue_s + waited_s)

    async def _analyse_speech(
        self,
        clip: Clip,
        request: RequestContext,
        speech: SpeechPresence | None,
        baseline: PendingBaseline | None,
        *,
        words: bool,
    ) -> Analysis:
        """All calls but the first. speech: its result, None where it was not checked."""
        async with task_group() as group:
            transcribing = group.create_task(self._transcript(clip, request) if words else _no_transcript())
            encoding = group.create_task(_result(self._encode.submit(clip, request)))
        (transcribed, asr_error), encoded = transcribing.result(), encoding.result()
        if isinstance(encoded, Exception):
            raise AnalysisError(f"the emotion model failed: {encoded}") from encoded
        transcript = None if transcribed is None else transcribed.value
        aligned = await _result(self._align.submit((clip, transcript), request))
        if isinstance(aligned, Exception):
            raise AnalysisError(f"the alignment failed: {aligned}") from aligned
        aligned_at = self._clock.now()
        speaker = await self._speaker(baseline)
        baseline_s = self._clock.now() - aligned_at
        fused = await _result(self._fuse.submit((encoded.value, transcript, aligned.value, speaker), request))
        if isinstance(fused, Exception):
            raise AnalysisError(f"the emotion model failed: {fused}") from fused
        if (defect := find_defect(fused.value, self.recognizer.labels)) is not None:
            self._emotion_worker.record_failure(defect)
            raise AnalysisError(f"the emotion model gave {defect}")
        prediction = fused.value
        if speech is not None and speech.doubtful:
            reasons = (*prediction.uncertain, "doubtful_speech")
            prediction = replace(prediction, uncertain=reasons, reliable=False)
        return Analysis(
            transcript=transcript,
            words=aligned.value.words,
            prediction=prediction,
            asr_error=asr_error,
            # Transcription and encoding run side by side: the utterance waited for the slower of the two.
            queue_s=max(encoded.waited_s, 0.0 if transcribed is None else transcribed.waited_s)
            + aligned.waited_s
            + baseline_s
            + fused.waited_s,
            asr_s=0.0 if transcribed is None else transcribed.took_s,
            align_s=aligned.took_s,
            emotion_s=encoded.took_s + fused.took_s,
            speech=speech,
            voice=encoded.value.voice,
            baseline_utterances=None if speaker is None else speaker.utterances,
        )

    async def _speaker(self, baseline: PendingBaseline | None) -> SpeakerBaseline | None:
        """None where no baseline is given or the model takes none."""
        return None if baseline is None or self.recognizer.baseline is None else await baseline.wait()

    async def _transcript(
        self, clip: Clip, request: RequestContext
    ) -> tuple[TimedResult[Transcript] | None, str | None]:
        """The transcript, or why there is none."""
        batcher = self._transcribe_interim if request.interim_words else self._transcribe
        if batcher is None:
            return None, None
        transcribing = asyncio.create_task(_result(batcher.submit(clip, request)), name="transcribe")
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

    def _call_align(self, items: Sequence[AlignInput]) -> list[Alignment]:
        clips, transcripts = zip(*items, strict=True)
        return self.recognizer.align(clips, transcripts)

    def _call_fuse(self, items: Sequence[FuseInput]) -> list[Prediction]:
        encoded, transcripts, alignments, speakers = zip(*items, strict=True)
        return self.recognizer.fuse(encoded, transcripts, alignments, speakers)


def _one_by_one(call: Callable[[Clip], None]) -> Callable[[Sequence[Clip]], list[None]]:
    def calls(clips: Sequence[Clip]) -> list[None]:
        for clip in clips:
            call(clip)
        return [None] * len(clips)

    return calls


async def _no_transcript() -> tuple[None, None]:
    return None, None


async def _result(waiting: Awaitable[T]) -> T | Exception:
    """The exception as a value: in a TaskGroup a raised one would cancel the other tasks."""
    try:
        return await waiting
    except RequestShedError:
        raise  # and the other tasks need not go on
    except Exception as error:  # it becomes an AnalysisError of this utterance, with its cause
        return error
