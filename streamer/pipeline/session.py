"""The life of one stream: three tasks, two bounded queues.

`listen` turns sound into utterances and asks for their analyses, ahead of time where it can; `analyse`
turns them into events in the order of speech; `deliver` numbers the events and hands them out. Both
queues wait when they are full: a reader that stops holds back `deliver`, then `analyse`, then `listen`,
and at last the source.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Protocol, TypeVar

from emostream.models import Clip

from ..audio.frontend import AudioFrontend, Samples
from ..audio.sources import AudioGap, Flush, Pcm, Source, SourceWarning
from ..clock import Clock
from ..concurrency import task_group
from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ, LiveSettings, SegmenterSettings
from ..errors import AnalysisError, EmostreamError
from ..inference.backend import Analysis, InferenceBackend, PartialTranscription
from ..inference.request import Priority, RequestShedError
from ..protocol import messages
from .conversions import emotion_event, started_event
from .event_log import EventLog
from .incremental_asr import IncrementalTranscription
from .interim import InterimResults
from .segmenter import Segmenter, SpeechStarted, Utterance
from .speculative import PendingAnalysis, SpeculativeAnalysis
from .vad import Vad

log = logging.getLogger(__name__)

T = TypeVar("T")

_UTTERANCES: Final = 2
_EVENTS: Final = 64
_YIELD_FRAMES: Final = 25  # 0.3 ms of work: who waits for a model's next call waits no longer
_WAITED_S: Final = 0.001  # a source that took so long for its next block has let others have theirs
_ARRIVALS: Final = 2_048  # blocks of a frame at least: more than the longest utterance and its pause


class Sink(Protocol):
    """Where the owner of a stream reads its events. May wait; what it raises ends the session."""

    async def send(self, event: messages.ServerEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """language: hint for the transcriber. words: whether events carry the words one by one; text: whether
    they say at all what was said. speculate, interim_interval_ms: see LiveSettings; for sound at its natural
    pace only.
    """

    segmenter: SegmenterSettings
    language: str | None = None
    words: bool = True
    text: bool = True
    speculate: bool = False
    interim_interval_ms: int = 0

    @classmethod
    def paced(cls, segmenter: SegmenterSettings, live: LiveSettings) -> SessionSettings:
        """For sound that comes as it is spoken."""
        return cls(segmenter, speculate=live.speculate, interim_interval_ms=live.interim_interval_ms)


@dataclass(frozen=True, slots=True)
class _Job:
    """An utterance, its analysis, and when (seconds) its last speech sample came and its end was decided."""

    utterance: Utterance
    arrived: float
    decided: float
    asked: PendingAnalysis


class Session:
    def __init__(
        self,
        source: Source,
        vad: Vad,
        engine: InferenceBackend,
        event_log: EventLog,
        sinks: Sequence[Sink],
        settings: SessionSettings,
        clock: Clock,
    ) -> None:
        self._source = source
        self._vad = vad
        self._engine = engine
        self._event_log = event_log
        self._sinks = sinks
        self._settings = settings
        self._clock = clock

        self._chain = AudioFrontend(source.sample_rate_hz, source.channels)
        self._segmenter = Segmenter(settings.segmenter)
        self._utterances: asyncio.Queue[_Job | None] = asyncio.Queue(_UTTERANCES)
        self._events: asyncio.Queue[messages.ServerEvent] = asyncio.Queue(_EVENTS)
        self._metrics = engine.metrics
        self._speculation = SpeculativeAnalysis(
            self._ask, lambda outcome: self._metrics.candidates.labels(outcome).inc()
        )
        self._previews = InterimResults(settings.interim_interval_ms, self._ask, self._show)
        transcribe = engine.transcribe_partial if settings.speculate else None
        self._ahead = (
            None if transcribe is None else IncrementalTranscription(partial(self._listen_to, transcribe))
        )
        self._under_way: set[asyncio.Task[Any]] = set()

        # (position in samples, moment) of what arrived: when was the last speech sample here?
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=_ARRIVALS)

        # For `closed`.
        self._received_samples = 0
        self._unbroken = 0  # frames since others had their turn
        self._fed = 0.0
        self._dropped_ms = 0
        self._finals = 0
        self._stopping = False
        self._failure: EmostreamError | None = None
        self._told_invalid = False

    def stop(self) -> None:
        """End soon: the source as if it were over, all finals, `closed` with `shutting_down`."""
        self._stopping = True
        self._source.stop()

    async def run(self) -> messages.Totals:
        """Until the source ends. A source that fails has its finals delivered before it raises."""
        try:
            async with task_group() as group:
                group.create_task(self._listen(), name="listen")
                group.create_task(self._analyse(), name="analyse")
                group.create_task(self._deliver(), name="deliver")
        finally:
            self._previews.stop()
            for task in self._under_way:
                task.cancel()
        if self._failure is not None:
            raise self._failure
        return self.totals

    async def _listen(self) -> None:
        try:
            async for item in self._source.items():
                match item:
                    case Pcm(block):
                        self._received_samples += len(block)
                        self._event_log.clock_ms = self._clock_ms
                        self._metrics.audio.inc(len(block) / self._source.sample_rate_hz)
                        await self._feed(self._chain.push(block))
                        await self._tell_invalid()
                    case AudioGap(lost_ms, reason):
                        await self._lose(lost_ms, reason)
                    case Flush():
                        await self._feed(self._chain.drain())
                        await self._pass_on(self._segmenter.flush("flush"))
                    case SourceWarning(code, message):
                        await self._events.put(messages.Error(code=code, message=message, fatal=False))
        except EmostreamError as error:
            self._failure = error
        await self._feed(self._chain.finish())
        await self._pass_on(self._segmenter.flush("end_of_stream"))
        await self._utterances.put(None)

    @property
    def _clock_ms(self) -> int:
        return round(self._received_samples / self._source.sample_rate_hz * 1_000) + self._dropped_ms

    async def _feed(self, frames: Samples) -> None:
        """frames: (n, 320)."""
        if not len(frames):
            return
        now = self._clock.now()
        if now - self._fed > _WAITED_S:
            self._unbroken = 0
        self._arrivals.append((self._segmenter.position + len(frames) * FRAME_SAMPLES, now))
        for frame, is_speech in self._judged(frames):
            happened = self._segmenter.push(frame, is_speech)
            if happened:
                await self._pass_on(happened)
            if self._settings.speculate:
                self._speculation.consider(self._segmenter.candidate)
            self._previews.consider(self._segmenter)
            if self._ahead is not None:
                self._ahead.consider(self._segmenter)
            if self._unbroken >= _YIELD_FRAMES:
                self._unbroken = 0
                await asyncio.sleep(0)
            self._unbroken += 1
        self._fed = self._clock.now()

    def _judged(self, frames: Samples) -> Iterator[tuple[Samples, bool]]:
        """Piece by piece, so that no message, however long, keeps the loop from others."""
        for first in range(0, len(frames), _YIELD_FRAMES):
            piece = frames[first : first + _YIELD_FRAMES]
            yield from zip(piece, self._vad.judge(piece), strict=True)

    async def _pass_on(self, happened: list[SpeechStarted | Utterance]) -> None:
        for one in happened:
            if isinstance(one, SpeechStarted):
                await self._events.put(started_event(one))
            else:
                self._previews.stop()
                if self._ahead is not None:
                    self._ahead.stop()
                decided = self._clock.now()
                # The next one is asked for while the last one is analysed: no model waits for the other, nor
                # for this loop. A batch never holds two of one stream, see `Batcher`.
                asked = self._speculation.claim(one) or self._ask(one, Priority.FINAL)
                await self._utterances.put(_Job(one, self._arrival(one.end), decided, asked))

    def _ask(self, utterance: Utterance, priority: Priority) -> PendingAnalysis:
        request = self._engine.new_request(priority, self)
        if priority is Priority.CANDIDATE:  # asked when its tail is heard
            rules = self._settings.segmenter
            request.final_after_s = (rules.min_silence_ms - rules.tail_ms) / 1_000
        clip = Clip(utterance.samples, self._settings.language)
        words = priority is not Priority.INTERIM
        task = asyncio.create_task(self._engine.analyse(clip, request, words=words), name="analysis")
        return PendingAnalysis(self._mind(task), request)

    def _listen_to(self, transcribe: PartialTranscription, utterance: Utterance) -> asyncio.Task[None]:
        request = self._engine.new_request(Priority.INTERIM, self)
        clip = Clip(utterance.samples, self._settings.language)
        return self._mind(asyncio.create_task(transcribe(clip, request), name="listen ahead"))

    def _mind(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        """It ends with the session at the latest."""
        self._under_way.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; of a lost bet nobody asks

    async def _lose(self, lost_ms: int, reason: str) -> None:
        """A short gap is silence like any other; a long one ends the utterance, and then the clock jumps."""
        samples = lost_ms * SAMPLE_RATE_HZ // 1_000
        settings = self._settings.segmenter
        heard_ms = settings.min_silence_ms + settings.start_window_ms
        silence = min(samples, heard_ms * SAMPLE_RATE_HZ // 1_000)
        await self._feed(self._chain.silence(silence))
        skipped = (samples - silence) // FRAME_SAMPLES
        if skipped:
            # The silence has ended any utterance, unless the VAD took the zeros for speech.
            await self._pass_on(self._segmenter.flush("flush"))
            self._segmenter.skip(skipped)
        await self._feed(self._chain.silence(samples - silence - skipped * FRAME_SAMPLES))
        at_ms = self._clock_ms
        self._dropped_ms += lost_ms
        self._metrics.dropped.inc(lost_ms / 1_000)
        await self._events.put(messages.Dropped(ms=lost_ms, reason=reason, at_ms=at_ms))

    async def _tell_invalid(self) -> None:
        if self._chain.invalid_samples and not self._told_invalid:
            self._told_invalid = True
            message = (
                "expected finite samples, got NaN or infinity; they are heard as silence, correct the sender"
            )
            await self._events.put(messages.Error(code="invalid_samples", message=message, fatal=False))

    def _arrival(self, position: int) -> float:
        """The moment at which the sample before `position` was here."""
        found = self._clock.now()
        for reached, moment in reversed(self._arrivals):  # the end of an utterance is not long ago
            if reached < position:
                break
            found = moment
        return found

    async def _analyse(self) -> None:
        while (job := await self._utterances.get()) is not None:
            try:
                analysis = await self._analysis(job.utterance, job.asked)
            except AnalysisError as error:
                log.error("utterance %d: %s", job.utterance.utterance, error, exc_info=error)
                message = f"utterance {job.utterance.utterance} has no result: {error}"
                await self._tell(error.code, message, job)
                continue
            if analysis.asr_error is not None:
                await self._tell("transcription_failed", analysis.asr_error, job)
            self._finals += 1
            await self._events.put(
                emotion_event(
                    job.utterance,
                    analysis,
                    self._engine.model_info.labels,
                    self._timing(job, analysis),
                    words=self._settings.words,
                    text=self._settings.text,
                )
            )
        await self._close()

    async def _analysis(self, utterance: Utterance, asked: PendingAnalysis) -> Analysis:
        try:
            return await asked.task
        except RequestShedError:  # it was a candidate then
            return await self._ask(utterance, Priority.FINAL).task

    async def _show(self, utterance: Utterance, asked: PendingAnalysis) -> None:
        """A provisional event, unless the models have no time for it."""
        try:
            analysis = await asked.task
        except (RequestShedError, AnalysisError):
            return
        job = _Job(utterance, self._arrival(utterance.end), asked.request.requested_at, asked)
        timing, labels = self._timing(job, analysis), self._engine.model_info.labels
        await self._events.put(emotion_event(utterance, analysis, labels, timing, words=False))

    async def _tell(self, code: str, message: str, job: _Job) -> None:
        """An error that concerns one utterance."""
        await self._events.put(
            messages.Error(code=code, message=message, fatal=False, utterance=job.utterance.utterance)
        )

    async def _close(self) -> None:
        if self._failure is not None:
            code, message = self._failure.code, str(self._failure)
            await self._events.put(messages.Error(code=code, message=message, fatal=True))
        await self._events.put(messages.Closed(reason=self._reason(), totals=self.totals))

    def _reason(self) -> Literal["error", "shutting_down", "end_of_stream"]:
        if self._failure is not None:
            return "error"
        return "shutting_down" if self._stopping else "end_of_stream"

    async def _deliver(self) -> None:
        while True:
            event = self._event_log.append(await self._events.get())
            self._tally(event)
            for sink in self._sinks:
                await sink.send(event)
            await self._event_log.drain()
            if isinstance(event, messages.Closed):
                return

    def _tally(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Emotion) and event.final:
            self._metrics.observe_final(event)
        elif isinstance(event, messages.Emotion):
            self._metrics.interim_results.inc()
        elif isinstance(event, messages.Error):
            self._metrics.errors.labels(event.code).inc()

    def _timing(self, job: _Job, analysis: Analysis) -> messages.Timing:
        def to_ms(seconds: float) -> float:
            return round(seconds * 1_000, 1)

        return messages.Timing(
            endpoint_ms=to_ms(job.decided - job.arrived),
            lead_ms=to_ms(max(0.0, job.decided - job.asked.request.requested_at)),
            queue_ms=to_ms(analysis.queue_s),
            asr_ms=to_ms(analysis.asr_s),
            align_ms=to_ms(analysis.align_s),
            emotion_ms=to_ms(analysis.emotion_s),
            total_ms=to_ms(self._clock.now() - job.arrived),
        )

    @property
    def totals(self) -> messages.Totals:
        """Of the stream so far."""
        heard_ms = self._received_samples * 1_000 // self._source.sample_rate_hz
        return messages.Totals(
            audio_ms=heard_ms + self._dropped_ms, utterances=self._finals, dropped_ms=self._dropped_ms
        )
