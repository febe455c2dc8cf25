"""The life of one stream: three tasks, two bounded queues.

`receive` turns audio into utterances and requests their analyses, ahead of time where it can; `analyse`
turns them into events in the order of speech; `deliver` numbers the events and hands them out. Both
queues wait when they are full: a reader that stops holds back `deliver`, then `analyse`, then `receive`,
and at last the source.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final, Literal, Protocol

from emostream.models import SpeakerBaseline

from ..audio.channels import ChannelFrontends, heard_channels
from ..audio.input_check import InputCheck
from ..audio.sources import AudioGap, Flush, Pcm, Source, SourceWarning
from ..clock import Clock
from ..concurrency import task_group
from ..config import SAMPLE_RATE_HZ
from ..errors import AnalysisError, EmostreamError
from ..inference.backend import InferenceBackend
from ..protocol import messages
from ..protocol.error_codes import ErrorCode
from .audio_doubts import AudioDoubts
from .channel import Channel, QueuedUtterance
from .channel_group import ChannelGroup
from .committed_position import CommittedPosition
from .conversions import misread, ms, started_event
from .event_log import EventLog
from .gap_reports import GapReports
from .segmenter import SpeechStarted, Utterance
from .session_settings import SessionSettings
from .vad import Vad

log = logging.getLogger(__name__)

_MAX_EVENTS: Final = 64  # queued


class Sink(Protocol):
    """Receives the events of a stream for its owner. May wait; what it raises ends the session."""

    async def send(self, event: messages.ServerEvent) -> None: ...


class Session:
    """new_vad: makes a detector that no other stream or channel uses. Raises SourceError where the source
    does not have the channels of the settings.
    """

    def __init__(
        self,
        source: Source,
        new_vad: Callable[[], Vad],
        backend: InferenceBackend,
        event_log: EventLog,
        sinks: Sequence[Sink],
        settings: SessionSettings,
        clock: Clock,
    ) -> None:
        self._source = source
        self._event_log = event_log
        self._sinks = sinks
        self._settings = settings
        self._metrics = backend.metrics

        self._input = InputCheck(source.sample_rate_hz)
        heard = heard_channels(settings.channels, source.channels, "the audio")
        self._frontends = ChannelFrontends(source.sample_rate_hz, source.channels, heard)
        queued = settings.queued * len(heard)
        self._utterances: asyncio.Queue[QueuedUtterance | None] = asyncio.Queue(queued)
        self._events: asyncio.Queue[messages.ServerEvent] = asyncio.Queue(_MAX_EVENTS)
        numbers = count(1)
        speakers = settings.speakers or [settings.speaker] * len(heard)
        self._channels = [
            Channel(number, new_vad(), backend, settings, speaker, clock, numbers, self._send_interim)
            for number, speaker in zip(heard, speakers, strict=True)
        ]
        self._group = ChannelGroup(self._channels, self._frontends, settings.segmenter, clock, self._handle)
        self._committed = CommittedPosition(source.sample_rate_hz)

        self._gaps = GapReports()
        self._end: int | None = None  # the stream's, in samples, once it is known

        # For `closed`.
        self._received_samples = 0
        self._dropped_ms = 0
        self._finals = 0
        self._stopping = False
        self._failure: EmostreamError | None = None
        self._doubts = AudioDoubts()

    def stop(self) -> None:
        """End soon: the source as if it were over, all finals, `closed` with `shutting_down`."""
        self._stopping = True
        self._source.stop()

    @property
    def channel_count(self) -> int:
        """Of channels that are analysed, each on its own."""
        return len(self._channels)

    @property
    def idle(self) -> bool:
        """Whether all channels are, see `Segmenter.idle`: what they are given next is in no hurry if it is as
        quiet as what they have had.
        """
        return all(one.idle for one in self._channels)

    async def run(self) -> messages.Totals:
        """Until the source ends. The finals of a source that fails are delivered before this raises."""
        try:
            async with task_group() as group:
                group.create_task(self._receive(), name="receive")
                group.create_task(self._analyse(), name="analyse")
                group.create_task(self._deliver(), name="deliver")
        finally:
            self._group.cancel()
            self._frontends.close()
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
                        checked, warnings = self._input.push(block, self._dropped_ms)
                        await self._group.push(checked)
                        await self._report_doubts()
                        for warning in warnings:
                            await self._warn(warning)
                    case AudioGap():
                        await self._pass_gap(item)
                    case Flush():
                        await self._group.flush()
                    case SourceWarning():
                        await self._warn(item)
                self._committed.advance(min(one.restart_position for one in self._channels))
                self._event_log.commit(self._committed.source_frames)
        except EmostreamError as error:
            self._failure = error
        self._end = self._received_samples * SAMPLE_RATE_HZ // self._source.sample_rate_hz
        self._end += self._dropped_ms * SAMPLE_RATE_HZ // 1_000
        await self._group.finish()
        await self._report_doubts(ended=True)
        await self._report_gaps(self._gaps.take())
        await self._utterances.put(None)

    @property
    def _clock_ms(self) -> int:
        return round(self._received_samples / self._source.sample_rate_hz * 1_000) + self._dropped_ms

    async def _handle(self, channel: Channel, outcomes: list[SpeechStarted | Utterance]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, SpeechStarted):
                await self._report_gaps(self._gaps.take())
                await self._events.put(started_event(outcome, channel.number))
            else:
                if self._end is not None:  # the last frame is padded
                    outcome = replace(outcome, limit=self._end)
                self._committed.add_utterance(outcome.utterance, outcome.clip_start)
                await self._utterances.put(channel.analyse(outcome))

    async def _pass_gap(self, gap: AudioGap) -> None:
        await self._group.gap(gap.ms)
        self._committed.add_gap(self._received_samples, gap.ms)
        at_ms = self._clock_ms
        self._dropped_ms += gap.ms
        self._event_log.clock_ms = self._clock_ms
        self._metrics.dropped.inc(gap.ms / 1_000)
        await self._report_gaps(self._gaps.add(gap, at_ms))

    async def _send_interim(self, event: messages.Emotion) -> None:
        if not self._input.is_misread(event.start_ms, event.end_ms):
            await self._events.put(event)

    async def _warn(self, warning: SourceWarning) -> None:
        await self._events.put(messages.Error(code=warning.code, message=warning.message, fatal=False))

    async def _report_gaps(self, reports: list[messages.Dropped]) -> None:
        for report in reports:
            await self._events.put(report)

    async def _report_doubts(self, *, ended: bool = False) -> None:
        """Once each."""
        for code, message in self._doubts.found(self._frontends, ended=ended):
            await self._events.put(messages.Error(code=code, message=message, fatal=False))

    async def _analyse(self) -> None:
        while (queued := await self._utterances.get()) is not None:
            number = queued.utterance.utterance
            try:
                analysis = await queued.channel.result(queued)
            except AnalysisError as error:
                log.error("utterance %d: %s", number, error, exc_info=error)
                await self._report(error.code, f"utterance {number} has no result: {error}", number)
                continue
            if analysis.asr_error is not None:
                await self._report(ErrorCode.TRANSCRIPTION_FAILED, analysis.asr_error, number)
            if self._input.is_misread(ms(queued.utterance.start), ms(queued.utterance.end)):
                analysis = misread(analysis)
            event = queued.channel.final_event(queued, analysis)
            self._finals += isinstance(event, messages.Emotion)
            await self._events.put(event)
        await self._close()

    async def _report(self, code: str, message: str, utterance: int) -> None:
        await self._events.put(messages.Error(code=code, message=message, fatal=False, utterance=utterance))

    async def _close(self) -> None:
        if self._failure is not None:
            code, message = self._failure.code, str(self._failure)
            await self._events.put(messages.Error(code=code, message=message, fatal=True))
        wanted = self._settings.return_speaker and len(self._channels) == 1
        voice = self._channels[0].learned_voice() if wanted else None
        closed = messages.Closed(reason=self._reason(), totals=self.totals, speaker=voice)
        await self._events.put(closed)

    def _reason(self) -> Literal["error", "shutting_down", "end_of_stream"]:
        if self._failure is not None:
            return "error"
        return "shutting_down" if self._stopping else "end_of_stream"

    async def _deliver(self) -> None:
        while True:
            event = self._event_log.append(await self._events.get())
            if self._committed.note_published(event):
                self._event_log.commit(self._committed.source_frames)
            self._metrics.count(event)
            for sink in self._sinks:
                await sink.send(event)
            await self._event_log.drain()
            if isinstance(event, messages.Closed):
                return

    @property
    def speakers(self) -> list[SpeakerBaseline | None]:
        """What the finals so far say of the speaker of each channel; None where no baseline is used."""
        return [None if one.baseline is None else one.baseline.state for one in self._channels]

    @property
    def totals(self) -> messages.Totals:
        """Of the stream so far."""
        received_ms = self._received_samples * 1_000 // self._source.sample_rate_hz
        return messages.Totals(
            audio_ms=received_ms + self._dropped_ms,
            utterances=self._finals,
            dropped_ms=self._dropped_ms,
        )
