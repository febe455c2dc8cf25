"""One channel of a stream: frames of 20 ms -> utterances, and the requests for their analyses.

A session has one for each speaker that is recorded on a channel of his own, or a single one. What belongs to
a voice is here: its utterances, their speculative, interim and incremental analyses, its baseline and its
language.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..audio.frontend import Samples
from ..clock import Clock
from ..config import FRAME_SAMPLES
from ..inference.backend import Analysis, InferenceBackend
from ..inference.request import Priority, RequestShedError
from ..protocol import messages
from ..speakers.voice import voice_of
from .analysis_requests import PendingAnalysis, SessionRequests
from .arrivals import ArrivalTimes
from .conversions import emotion_event, interim_event, no_emotion_event
from .interim_results import InterimIntervals, InterimResults
from .interim_text import TextSoFar
from .partial_utterances import PartialUtteranceScheduler
from .running_baseline import RunningBaseline, SpeakerOptions
from .segmenter import Segmenter, SpeechStarted, Utterance
from .session_settings import SessionSettings
from .speculative import SpeculativeAnalysis
from .stream_history import NO_HISTORY, PendingHistory, StreamHistory, StreamLanguage
from .vad import Vad

_INCREMENTAL_ASR_MS: Final = 100

SendInterim = Callable[[messages.Emotion], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class QueuedUtterance:
    """An utterance and its analysis. arrived: when its last speech sample came; decided: when its end was
    decided. In seconds. next_history: with this utterance, which later ones wait for.
    """

    channel: Channel
    utterance: Utterance
    arrived: float
    decided: float
    analysis: PendingAnalysis
    next_history: PendingHistory = NO_HISTORY


class Channel:
    """number: of the channel, from 1; None where all are mixed. speaker: of this channel. numbers: of the
    stream's utterances. send: takes the interim results, which come when they are ready.
    """

    def __init__(
        self,
        number: int | None,
        vad: Vad,
        backend: InferenceBackend,
        settings: SessionSettings,
        speaker: SpeakerOptions,
        clock: Clock,
        numbers: Iterator[int],
        send: SendInterim,
    ) -> None:
        self.number = number
        self._vad = vad
        self._backend = backend
        self._settings = settings
        self._clock = clock
        self._send = send

        self._model_info = backend.model_info
        self._segmenter = Segmenter(settings.segmenter, numbers)
        self._baseline = RunningBaseline.of_stream(self._model_info, speaker)
        self._history = StreamHistory(self._baseline, StreamLanguage() if self._detects_language else None)
        self._requests = SessionRequests(
            backend,
            settings.segmenter,
            settings.language,
            self._history,
            transcribe=settings.transcribe,
        )
        count = backend.metrics.candidates
        self._speculation = SpeculativeAnalysis(
            self._analyse_candidate, lambda outcome: count.labels(outcome).inc()
        )
        self._interim = self._interim_results()
        self._incremental = self._incremental_transcription()
        self._arrivals = ArrivalTimes()

    @property
    def _detects_language(self) -> bool:
        settings = self._settings
        return settings.transcribe and settings.language is None and self._model_info.detects_language

    def _interim_results(self) -> InterimResults | None:
        settings = self._settings
        if not settings.interim_interval_ms:
            return None
        # An incremental transcriber would end its search in every interim result, and begin again.
        words = settings.transcript and self._model_info.asr is not None
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

    @property
    def restart_position(self) -> int:
        """See `Segmenter.restart_position`."""
        return self._segmenter.restart_position

    @property
    def idle(self) -> bool:
        """See `Segmenter.idle`."""
        return self._segmenter.idle

    def frames_arrived(self, count: int, moment: float) -> None:
        """So many frames are about to be pushed."""
        self._arrivals.add(self._segmenter.position + count * FRAME_SAMPLES, moment)

    def speech_flags(self, frames: Samples) -> list[bool]:
        """frames: (n, 320), the next ones of the channel."""
        return self._vad.is_speech(frames)

    def push(self, frame: Samples, is_speech: bool, energy: float) -> list[SpeechStarted | Utterance]:
        """See `Segmenter.push`."""
        return self._segmenter.push(frame, is_speech, energy)

    def push_silence(self, frames: Samples) -> None:
        """frames: (n, 320) without speech, while idle."""
        self._segmenter.push_silence(frames)

    def work_ahead(self) -> None:
        """To be called after every frame, once what it has ended was passed to `analyse`."""
        if self._settings.speculate:
            self._speculation.consider(self._segmenter.candidate)
        if self._interim is not None:
            self._interim.consider(self._segmenter)
        if self._incremental is not None:
            self._incremental.consider(self._segmenter)

    def end_of_stream(self) -> list[SpeechStarted | Utterance]:
        return self._segmenter.flush("end_of_stream")

    def flush(self) -> list[SpeechStarted | Utterance]:
        """End the utterance in progress here."""
        return self._segmenter.flush("flush")

    def skip(self, frames: int) -> None:
        """Move the clock over a gap. Only between utterances."""
        self._segmenter.skip(frames)

    def analyse(self, utterance: Utterance) -> QueuedUtterance:
        """Of an utterance whose end has just been decided."""
        self._cancel_partial()
        decided = self._clock.now()
        # The next one is requested while the last one is analysed: no model waits for the other, nor for this
        # loop. A batch never holds two of one channel, see `Batcher`.
        claimed = self._speculation.claim(utterance)
        analysis = claimed or self._requests.analyse(utterance, self._settings.priority)
        arrived = self._arrivals.of(utterance.end, decided)
        next_history = self._history.begin_final()
        return QueuedUtterance(self, utterance, arrived, decided, analysis, next_history)

    async def result(self, queued: QueuedUtterance) -> Analysis:
        """To be called for each utterance in the order of speech. Raises AnalysisError."""
        analysis = None
        try:
            analysis = await self._analysis(queued)
        finally:
            self._history.end_final(queued.next_history, analysis)  # at once: the next utterance waits for it
        return analysis

    async def _analysis(self, queued: QueuedUtterance) -> Analysis:
        try:
            return await queued.analysis.task
        except RequestShedError:  # it was shed as a candidate
            return await self._requests.retry(queued.utterance, queued.analysis).task

    def final_event(
        self, queued: QueuedUtterance, analysis: Analysis
    ) -> messages.Emotion | messages.NoEmotion:
        if analysis.prediction is None:
            assert analysis.speech is not None  # without a reason there is a prediction
            return no_emotion_event(queued.utterance, analysis.speech, self.number)
        return emotion_event(
            queued.utterance,
            analysis,
            self._model_info.labels,
            self._timing(queued, analysis),
            self.number,
            words=self._settings.words,
            transcript=self._settings.transcript,
        )

    async def _send_interim(
        self, utterance: Utterance, pending: PendingAnalysis, analysis: Analysis, text: TextSoFar | None
    ) -> None:
        if analysis.prediction is None:  # no speech so far
            return
        now = self._clock.now()
        arrived = self._arrivals.of(utterance.end, now)
        queued = QueuedUtterance(self, utterance, arrived, pending.request.requested_at, pending)
        timing = self._timing(queued, analysis)
        labels = self._model_info.labels
        await self._send(interim_event(utterance, analysis, labels, timing, self.number, text))

    def _timing(self, queued: QueuedUtterance, analysis: Analysis) -> messages.Timing:
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
    def baseline(self) -> RunningBaseline | None:
        """Of the speaker; None where none is used."""
        return self._baseline

    def learned_voice(self) -> messages.EnrolledVoice | None:
        if self._baseline is None:
            return None
        return voice_of(self._baseline.state, self._model_info)

    def cancel(self) -> None:
        """The session is over: nothing is wanted any more."""
        self._cancel_partial()
        self._requests.cancel_all()

    def _cancel_partial(self) -> None:
        if self._interim is not None:
            self._interim.cancel()
        if self._incremental is not None:
            self._incremental.cancel()
