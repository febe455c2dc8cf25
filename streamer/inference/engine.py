"""The models in this process: their threads, the batchers in front of them, and the order of their calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Final

from emostream.models import (
    Alignment,
    Clip,
    ConcurrentRecognizer,
    EncodedAudio,
    LanguageDetector,
    LanguageTranscriber,
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
from ..concurrency import short_turns, task_group
from ..errors import AnalysisError
from .backend import Analysis, Health, ModelInfo, PartialTranscription
from .batcher import Batcher, TimedResult, result_of
from .capacity import Capacity
from .defects import find_defect
from .interim_budget import InterimBudget
from .metrics import Metrics
from .model_worker import ModelWorker
from .pending import PendingBaseline
from .request import ComputeTime, Priority, RequestContext
from .shutdown import ShutdownGrace
from .transcription import Transcription

# Seconds of padded audio in one fusion. A transcriber's cost counts clips: it groups them by itself.
_FUSION_BUDGET: Final = 64.0

# While one is read, or waits for the language and the voice of its last utterance, others are computed, and
# those of one length in one batch.
_RECORDINGS_PER_CALL: Final = 4
_RECORDINGS_OF_A_GPU: Final = 16
_LEAST_QUEUED: Final = 2

# Between two utterances of continuous speech, in `warm_up`.
_PAUSE_S: Final = 1.4


AlignInput = tuple[Clip, Transcript]
FuseInput = tuple[EncodedAudio, Transcript | None, Alignment, SpeakerBaseline | None]


class Engine:
    """Five calls: detect speech, transcribe, encode, align, fuse; and `transcribe_partial`, for a transcriber
    that works incrementally. Each model has a thread for each call that it takes at once, and batches of its
    own.

    Without speech there are no further calls. The audio encoder runs while the transcriber runs; alignment
    and fusion wait for both, and fusion for the speaker's baseline.

    speech_detector: None takes every utterance for speech. call_timeout_s: how long a model may work on an
    utterance before its caller gives up; None is without limit. voice_probe: see `voice_probe`; without it
    enrolled speakers are refused. recordings: what counts is when the last utterance of them is done
    (docs/adr/0040).
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
        recordings: bool = False,
    ) -> None:
        self.transcriber = transcriber
        self.recognizer = recognizer
        self.compute_time = ComputeTime()
        self.metrics = Metrics(self.compute_time)
        self.interim_budget = InterimBudget(lambda: self.capacity, self.compute_time.interim_words_s, clock)
        self._clock = clock
        self._turns = short_turns if recordings else nullcontext
        self._voice_probe = voice_probe
        self._shutdown = ShutdownGrace(clock)
        threads = recognizer.concurrent_calls if isinstance(recognizer, ConcurrentRecognizer) else 1
        self._emotion_worker = ModelWorker("emotion", call_timeout_s, threads)
        # An aligner is a model of its own: while it searches, other utterances are encoded and fused.
        self._align_worker = ModelWorker("align", call_timeout_s)
        self.workers = [self._emotion_worker, self._align_worker]
        self._detect: Batcher[Clip, SpeechPresence] | None = None
        if speech_detector is not None:
            worker = ModelWorker("speech", call_timeout_s, threads)
            self.workers.append(worker)
            self._detect = Batcher[Clip, SpeechPresence](
                speech_detector.detect, worker, clock, cost=lambda _: 1.0, budget=1.0
            )
        self._transcription: Transcription | None = None
        if transcriber is not None:
            self._transcription = Transcription(
                transcriber, clock, self._shutdown, call_timeout_s, recordings=recordings
            )
            self.workers.append(self._transcription.worker)
        # Registered first: an utterance that is nearly done goes before one that has just come.
        self._fuse = Batcher[FuseInput, Prediction](
            self._call_fuse,
            self._emotion_worker,
            clock,
            cost=lambda item: item[0].seconds,
            budget=_FUSION_BUDGET,
        )
        self._encode = Batcher[Clip, EncodedAudio](
            recognizer.encode,
            self._emotion_worker,
            clock,
            cost=lambda clip: clip.seconds,
            budget=recognizer.batch_seconds,
        )
        # One after the other, so that the first need not wait for the last.
        self._align = Batcher[AlignInput, Alignment](
            self._call_align, self._align_worker, clock, cost=lambda _: 1.0, budget=1.0
        )

    @property
    def model_info(self) -> ModelInfo:
        """Waits for a transcriber that is still loading."""
        asr = None if self.transcriber is None else self.transcriber.name
        recognizer = self.recognizer
        source = self.transcriber.source if isinstance(self.transcriber, PretrainedTranscriber) else None
        languages = self.transcriber.languages if isinstance(self.transcriber, LanguageTranscriber) else ()
        return ModelInfo(
            asr,
            recognizer.name,
            recognizer.device,
            recognizer.labels,
            asr_source=source,
            asr_languages=tuple(languages),
            baseline=recognizer.baseline,
            voice_probe=self._voice_probe,
            detects_language=isinstance(self.transcriber, LanguageDetector)
            and self.transcriber.detects_language,
        )

    @property
    def recordings_at_a_time(self) -> int:
        """As many as keep the models busy."""
        calls = max(worker.threads for worker in self.workers)
        return _RECORDINGS_PER_CALL * calls if self.recognizer.device == "cpu" else _RECORDINGS_OF_A_GPU

    def utterances_queued(self, recordings: int) -> int:
        """By each of so many recordings at a time, so that few of them keep the models busy too."""
        return max(_LEAST_QUEUED, self.recordings_at_a_time // (2 * recordings))

    @property
    def capacity(self) -> Capacity:
        return Capacity([partial(self._busy_s, worker) for worker in self.workers])

    def _busy_s(self, worker: ModelWorker) -> float:
        return (worker.busy_s - self.compute_time.deferrable_s(worker.name)) / worker.threads

    def health(self) -> Health:
        """Unresponsive while a model has worked on one call for longer than it may."""
        problems = tuple(problem for worker in self.workers if (problem := worker.health_problem) is not None)
        return Health(any(worker.unresponsive for worker in self.workers), problems)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """The batchers run inside this context."""
        try:
            with self._turns():
                async with task_group() as group:
                    loops = [
                        group.create_task(worker.serve(), name=f"serve {worker.name}")
                        for worker in self.workers
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
        return None if self._transcription is None else self._transcription.partial

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
        detected = await result_of(self._detect.submit(clip, request))
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
            words_of = self._transcription if words else None
            transcribing = group.create_task(
                _no_transcript() if words_of is None else words_of.transcript(clip, request)
            )
            encoding = group.create_task(result_of(self._encode.submit(clip, request)))
        (transcribed, asr_error), encoded = transcribing.result(), encoding.result()
        if isinstance(encoded, Exception):
            raise AnalysisError(f"the emotion model failed: {encoded}") from encoded
        transcript = None if transcribed is None else transcribed.value
        aligned = await self._aligned(clip, transcript, request)
        if isinstance(aligned, Exception):
            raise AnalysisError(f"the alignment failed: {aligned}") from aligned
        aligned_at = self._clock.now()
        speaker = await self._speaker(baseline)
        baseline_s = self._clock.now() - aligned_at
        fused = await result_of(
            self._fuse.submit((encoded.value, transcript, aligned.value, speaker), request)
        )
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

    async def _aligned(
        self, clip: Clip, transcript: Transcript | None, request: RequestContext
    ) -> TimedResult[Alignment] | Exception:
        if transcript is None:  # there is nothing to align
            return TimedResult(Alignment(), 0.0, 0.0)
        return await result_of(self._align.submit((clip, transcript), request))

    async def _speaker(self, baseline: PendingBaseline | None) -> SpeakerBaseline | None:
        """None where no baseline is given or the model takes none."""
        return None if baseline is None or self.recognizer.baseline is None else await baseline.wait()

    def _call_align(self, items: Sequence[AlignInput]) -> list[Alignment]:
        clips, transcripts = zip(*items, strict=True)
        return self.recognizer.align(clips, transcripts)

    def _call_fuse(self, items: Sequence[FuseInput]) -> list[Prediction]:
        encoded, transcripts, alignments, speakers = zip(*items, strict=True)
        return self.recognizer.fuse(encoded, transcripts, alignments, speakers)


async def _no_transcript() -> tuple[None, None]:
    return None, None
