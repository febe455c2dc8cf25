"""The life of one stream: three tasks, two bounded queues.

`receive` turns audio into utterances and requests their analyses, ahead of time where it can; `analyse`
turns them into events in the order of speech; `deliver` numbers the events and hands them out. Both
queues wait when they are full: a reader that stops holds back `deliver`, then `analyse`, then `receive`,
and at last the source.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol

from emostream.models import SpeakerBaseline

from ..audio.frontend import AudioFrontend, Samples
from ..audio.sources import AudioGap, Flush, Pcm, Source, SourceWarning
from ..clock import Clock
from ..concurrency import task_group
from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ, LiveSettings, SegmenterSettings
from ..errors import AnalysisError, EmostreamError
from ..inference.backend import Analysis, InferenceBackend
from ..inference.baseline import PendingBaseline
from ..inference.request import Priority, RequestShedError
from ..protocol import messages
from ..protocol.error_codes import ErrorCode
from ..speakers.voice import voice_of
from .analysis_requests import PendingAnalysis, SessionRequests
from .arrivals import ArrivalTimes
from .conversions import emotion_event, interim_event, no_emotion_event, started_event
from .event_log import EventLog
from .interim_results import InterimIntervals, InterimResults
from .interim_text import TextSoFar
from .partial_utterances import PartialUtteranceScheduler
from .running_baseline import ADAPT, RunningBaseline, SpeakerOptions
from .segmenter import Segmenter, SpeechStarted, Utterance
from .speculative import SpeculativeAnalysis
from .vad import Vad

log = logging.getLogger(__name__)

_MAX_UTTERANCES: Final = 2  # queued
_MAX_EVENTS: Final = 64  # queued
_YIELD_FRAMES: Final = 25  # 0.3 ms of work: what other tasks of the loop wait for at most
_WAITED_S: Final = 0.001  # a source that took so long for its next block has let other tasks run
_INCREMENTAL_ASR_MS: Final = 100


class Sink(Protocol):
    """Receives the events of a stream for its owner. May wait; what it raises ends the session."""

    async def send(self, event: messages.ServerEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """language: hint for the transcriber. words: whether events carry the words one by one; transcript:
    whether they carry any text at all. transcribe: whether there are words, where there is a transcriber.
    speculate, interim_interval_ms, interim_words_interval_ms: see LiveSettings; for audio in real time only.
    speaker: whether and how utterances are judged against the speaker's baseline. return_speaker: whether
    `closed` carries it.
    """

    segmenter: SegmenterSettings
    language: str | None = None
    words: bool = True
    transcript: bool = True
    speculate: bool = False
    interim_interval_ms: int = 0
    interim_words_interval_ms: int = 0
    transcribe: bool = True
    speaker: SpeakerOptions = ADAPT
    return_speaker: bool = False

    @classmethod
    def paced(cls, segmenter: SegmenterSettings, live: LiveSettings) -> SessionSettings:
        """For audio that comes in real time."""
        return cls(
            segmenter,
            speculate=live.speculate,
            interim_interval_ms=live.interim_interval_ms,
            interim_words_interval_ms=live.interim_words_interval_ms,
        )


@dataclass(frozen=True, slots=True)
class _QueuedUtterance:
    """An utterance and its analysis. arrived: when its last speech sample came; decided: when its end was
    decided. In seconds. next_baseline: of the speaker after it, which later utterances wait for; None where
    none is used.
    """

    utterance: Utterance
    arrived: float
    decided: float
    analysis: PendingAnalysis
    next_baseline: PendingBaseline | None = None


class Session:
    def __init__(
        self,
        source: Source,
        vad: Vad,
        backend: InferenceBackend,
        event_log: EventLog,
        sinks: Sequence[Sink],
        settings: SessionSettings,
        clock: Clock,
    ) -> None:
        self._source = source
        self._vad = vad
        self._backend = backend
        self._event_log = event_log
        self._sinks = sinks
        self._settings = settings
        self._clock = clock
        self._metrics = backend.metrics

        self._frontend = AudioFrontend(source.sample_rate_hz, source.channels)
        self._segmenter = Segmenter(settings.segmenter)
        self._utterances: asyncio.Queue[_QueuedUtterance | None] = asyncio.Queue(_MAX_UTTERANCES)
        self._events: asyncio.Queue[messages.ServerEvent] = asyncio.Queue(_MAX_EVENTS)
        self._baseline = RunningBaseline.of_stream(backend.model_info, settings.speaker)
        self._requests = SessionRequests(
            backend,
            settings.segmenter,
            settings.language,
            self._baseline,
            transcribe=settings.transcribe,
        )
        self._speculation = SpeculativeAnalysis(
            self._analyse_candidate, lambda outcome: self._metrics.candidates.labels(outcome).inc()
        )
        self._interim = self._interim_results()
        self._incremental = self._incremental_transcription()
        self._arrivals = ArrivalTimes()

        # So that no stream keeps the loop from the others.
        self._frames_since_yield = 0
        self._fed_at = 0.0

        # For `closed`.
        self._received_samples = 0
        self._dropped_ms = 0
        self._finals = 0
        self._stopping = False
        self._failure: EmostreamError | None = None
        self._reported_invalid = False

    def _interim_results(self) -> InterimResults | None:
        settings = self._settings
        if not settings.interim_interval_ms:
            return None
        # An incremental transcriber would end its search in every interim result, and begin again.
        words = settings.transcript and self._backend.model_info.asr is not None
        words = words and self._backend.transcribe_partial is None
        intervals = InterimIntervals.from_ms(
            settings.interim_interval_ms, settings.interim_words_interval_ms if words else 0
        )
        return InterimResults(self._requests, self._backend.interim_budget, intervals, self._send_interim)

    def _incremental_transcription(self) -> PartialUtteranceScheduler | None:
        transcribe = self._backend.transcribe_partial
        if not self._settings.speculate or transcribe is None:
            return None
        start = partial(self._requests.transcribe_partial, transcribe)
        return PartialUtteranceScheduler(start, _INCREMENTAL_ASR_MS)

    def _analyse_candidate(self, utterance: Utterance, priority: Priority) -> PendingAnalysis:
        pending = self._requests.analyse(utterance, priority)
        if self._interim is not None:
            self._interim.add_candidate(utterance, pending)
        return pending

    def stop(self) -> None:
        """End soon: the source as if it were over, all finals, `closed` with `shutting_down`."""
        self._stopping = True
        self._source.stop()

    async def run(self) -> messages.Totals:
        """Until the source ends. The finals of a source that fails are delivered before this raises."""
        try:
            async with task_group() as group:
                group.create_task(self._receive(), name="receive")
                group.create_task(self._analyse(), name="analyse")
                group.create_task(self._deliver(), name="deliver")
        finally:
            self._cancel_partial()
            self._requests.cancel_all()
        if self._failure is not None:
            raise self._failure
        return self.totals

    async def _receive(self) -> None:
        try:
            async for item in self._source.items():
                match item:
                    case Pcm(block):
                        self._received_samples += len(block)
                        self._event_log.clock_ms = self._clock_ms
                        self._metrics.audio.inc(len(block) / self._source.sample_rate_hz)
                        await self._feed(self._frontend.push(block))
                        await self._report_invalid()
                    case AudioGap(gap_ms, reason):
                        await self._feed_gap(gap_ms, reason)
                    case Flush():
                        await self._feed(self._frontend.drain())
                        await self._handle(self._segmenter.flush("flush"))
                    case SourceWarning(code, message):
                        await self._events.put(messages.Error(code=code, message=message, fatal=False))
        except EmostreamError as error:
            self._failure = error
        await self._feed(self._frontend.finish())
        await self._handle(self._segmenter.flush("end_of_stream"))
        await self._utterances.put(None)

    @property
    def _clock_ms(self) -> int:
        return round(self._received_samples / self._source.sample_rate_hz * 1_000) + self._dropped_ms

    async def _feed(self, frames: Samples) -> None:
        """frames: (n, 320)."""
        if not len(frames):
            return
        now = self._clock.now()
        if now - self._fed_at > _WAITED_S:
            self._frames_since_yield = 0
        self._arrivals.add(self._segmenter.position + len(frames) * FRAME_SAMPLES, now)
        for frame, is_speech in self._with_speech_flags(frames):
            outcomes = self._segmenter.push(frame, is_speech)
            if outcomes:
                await self._handle(outcomes)
            if self._settings.speculate:
                self._speculation.consider(self._segmenter.candidate)
            if self._interim is not None:
                self._interim.consider(self._segmenter)
            if self._incremental is not None:
                self._incremental.consider(self._segmenter)
            if self._frames_since_yield >= _YIELD_FRAMES:
                self._frames_since_yield = 0
                await asyncio.sleep(0)
            self._frames_since_yield += 1
        self._fed_at = self._clock.now()

    def _with_speech_flags(self, frames: Samples) -> Iterator[tuple[Samples, bool]]:
        """Some frames at a time, so that no message, however long, blocks the loop."""
        for first in range(0, len(frames), _YIELD_FRAMES):
            piece = frames[first : first + _YIELD_FRAMES]
            yield from zip(piece, self._vad.is_speech(piece), strict=True)

    async def _handle(self, outcomes: list[SpeechStarted | Utterance]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, SpeechStarted):
                await self._events.put(started_event(outcome))
            else:
                self._cancel_partial()
                decided = self._clock.now()
                # The next one is requested while the last one is analysed: no model waits for the other, nor
                # for this loop. A batch never holds two of one stream, see `Batcher`.
                analysis = self._speculation.claim(outcome) or self._requests.analyse(outcome, Priority.FINAL)
                arrived = self._arrivals.of(outcome.end, decided)
                next_baseline = None if self._baseline is None else self._baseline.begin_final()
                await self._utterances.put(
                    _QueuedUtterance(outcome, arrived, decided, analysis, next_baseline)
                )

    def _cancel_partial(self) -> None:
        if self._interim is not None:
            self._interim.cancel()
        if self._incremental is not None:
            self._incremental.cancel()

    async def _feed_gap(self, gap_ms: int, reason: str) -> None:
        """A short gap is silence like any other; a long one ends the utterance, and then the clock jumps."""
        samples = gap_ms * SAMPLE_RATE_HZ // 1_000
        settings = self._settings.segmenter
        longest_ms = settings.min_silence_ms + settings.start_window_ms
        silence = min(samples, longest_ms * SAMPLE_RATE_HZ // 1_000)
        await self._feed(self._frontend.silence(silence))
        skipped = (samples - silence) // FRAME_SAMPLES
        if skipped:
            # The silence has ended any utterance, unless the VAD took the zeros for speech.
            await self._handle(self._segmenter.flush("flush"))
            self._segmenter.skip(skipped)
        await self._feed(self._frontend.silence(samples - silence - skipped * FRAME_SAMPLES))
        at_ms = self._clock_ms
        self._dropped_ms += gap_ms
        self._metrics.dropped.inc(gap_ms / 1_000)
        await self._events.put(messages.Dropped(ms=gap_ms, reason=reason, at_ms=at_ms))

    async def _report_invalid(self) -> None:
        if self._frontend.invalid_samples and not self._reported_invalid:
            self._reported_invalid = True
            message = (
                "expected finite samples, got NaN or infinity; they count as silence, correct the sender"
            )
            await self._events.put(
                messages.Error(code=ErrorCode.INVALID_SAMPLES, message=message, fatal=False)
            )

    async def _analyse(self) -> None:
        while (queued := await self._utterances.get()) is not None:
            number = queued.utterance.utterance
            try:
                analysis = await self._result_of(queued)
            except AnalysisError as error:
                self._update_baseline(queued, None)
                log.error("utterance %d: %s", number, error, exc_info=error)
                await self._report(error.code, f"utterance {number} has no result: {error}", number)
                continue
            self._update_baseline(queued, analysis)  # first: the next utterance waits for it
            if analysis.asr_error is not None:
                await self._report(ErrorCode.TRANSCRIPTION_FAILED, analysis.asr_error, number)
            if analysis.prediction is None:
                assert analysis.speech is not None  # without a reason there is a prediction
                await self._events.put(no_emotion_event(queued.utterance, analysis.speech))
                continue
            self._finals += 1
            await self._events.put(
                emotion_event(
                    queued.utterance,
                    analysis,
                    self._backend.model_info.labels,
                    self._timing(queued, analysis),
                    words=self._settings.words,
                    transcript=self._settings.transcript,
                )
            )
        await self._close()

    async def _result_of(self, queued: _QueuedUtterance) -> Analysis:
        try:
            return await queued.analysis.task
        except RequestShedError:  # it was shed as a candidate
            return await self._requests.retry(queued.utterance, queued.analysis).task

    def _update_baseline(self, queued: _QueuedUtterance, analysis: Analysis | None) -> None:
        if self._baseline is not None and queued.next_baseline is not None:
            self._baseline.end_final(queued.next_baseline, analysis)

    async def _send_interim(
        self, utterance: Utterance, pending: PendingAnalysis, analysis: Analysis, text: TextSoFar | None
    ) -> None:
        if analysis.prediction is None:  # no speech so far
            return
        now = self._clock.now()
        arrived = self._arrivals.of(utterance.end, now)
        queued = _QueuedUtterance(utterance, arrived, pending.request.requested_at, pending)
        timing = self._timing(queued, analysis)
        await self._events.put(
            interim_event(utterance, analysis, self._backend.model_info.labels, timing, text)
        )

    async def _report(self, code: str, message: str, utterance: int) -> None:
        await self._events.put(messages.Error(code=code, message=message, fatal=False, utterance=utterance))

    async def _close(self) -> None:
        if self._failure is not None:
            code, message = self._failure.code, str(self._failure)
            await self._events.put(messages.Error(code=code, message=message, fatal=True))
        closed = messages.Closed(reason=self._reason(), totals=self.totals, speaker=self._learned_voice())
        await self._events.put(closed)

    def _learned_voice(self) -> messages.EnrolledVoice | None:
        """Where the client wants it, and there is one."""
        if self._baseline is None or not self._settings.return_speaker:
            return None
        return voice_of(self._baseline.state, self._backend.model_info)

    def _reason(self) -> Literal["error", "shutting_down", "end_of_stream"]:
        if self._failure is not None:
            return "error"
        return "shutting_down" if self._stopping else "end_of_stream"

    async def _deliver(self) -> None:
        while True:
            event = self._event_log.append(await self._events.get())
            self._count(event)
            for sink in self._sinks:
                await sink.send(event)
            await self._event_log.drain()
            if isinstance(event, messages.Closed):
                return

    def _count(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Emotion) and event.final:
            self._metrics.observe_final(event)
        elif isinstance(event, messages.Emotion):
            self._metrics.interim_results.inc()
        elif isinstance(event, messages.NoEmotion):
            self._metrics.no_emotion.labels(event.reason).inc()
        elif isinstance(event, messages.Error):
            self._metrics.errors.labels(event.code).inc()

    def _timing(self, queued: _QueuedUtterance, analysis: Analysis) -> messages.Timing:
        def to_ms(seconds: float) -> float:
            return round(seconds * 1_000, 1)

        return messages.Timing(
            endpoint_ms=to_ms(queued.decided - queued.arrived),
            lead_ms=to_ms(max(0.0, queued.decided - queued.analysis.request.requested_at)),
            queue_ms=to_ms(analysis.queue_s),
            asr_ms=to_ms(analysis.asr_s),
            align_ms=to_ms(analysis.align_s),
            emotion_ms=to_ms(analysis.emotion_s),
            total_ms=to_ms(self._clock.now() - queued.arrived),
        )

    @property
    def speaker(self) -> SpeakerBaseline | None:
        """What the finals so far say of the speaker; None where no baseline is used."""
        return None if self._baseline is None else self._baseline.state

    @property
    def totals(self) -> messages.Totals:
        """Of the stream so far."""
        received_ms = self._received_samples * 1_000 // self._source.sample_rate_hz
        return messages.Totals(
            audio_ms=received_ms + self._dropped_ms,
            utterances=self._finals,
            dropped_ms=self._dropped_ms,
        )
