"""`EmotionSTT`: keeps another transcriber, and adds the emotion to what it says."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    stt,
    utils,
)
from livekit.agents.stt import RecognizeStream, SpeechEvent, SpeechEventType

from emostream.models import ModelError
from emostream.streamer.errors import ConfigError, EmostreamError
from emostream.streamer.output.emotion_context import emotion_context
from emostream.streamer.protocol import messages

from ..emotion_stream import EmotionStream, Engine, engine_of
from ..turn_emotions import Stretch, TurnEmotions
from .speaker import SpeakerEmotion
from .speech_events import METADATA_KEY
from .stt import first_frame, recognize, start_of

log = logging.getLogger(__name__)

_LONGEST_WAIT_S: Final = 10.0
_OPTIONS: Final = messages.Options(interim_results=False)


class EmotionSTT(stt.STT[str]):
    """Everything is as the wrapped transcriber gives it; its final transcripts have the emotion in
    `SpeechData.metadata["emostream"]` besides, and the stream's `context` is a `SpeakerEmotion`.

    engine: see `STT`; its words are not used, so `LocalEngine.shared(asr="none")` saves their cost. wait_s:
    how long a final transcript may be held until its emotion is there. Where no emotions can be had, a
    warning says so, and the transcripts go on without.
    """

    def __init__(
        self, wrapped: stt.STT[Any], engine: Engine | str | None = None, *, wait_s: float = 0.0
    ) -> None:
        """Raises ConfigError."""
        if not 0 <= wait_s <= _LONGEST_WAIT_S:
            raise ConfigError(f"expected wait_s of 0 to {_LONGEST_WAIT_S:g} seconds, got {wait_s}; change it")
        super().__init__(capabilities=replace(wrapped.capabilities))
        self._wrapped = wrapped
        self._engine = engine_of(engine)
        self._wait_s = wait_s
        self._recognize_metrics_needed = False  # the wrapped one has its own
        wrapped.on("metrics_collected", self._pass_metrics)
        wrapped.on("error", self._pass_error)

    @property
    def wrapped_stt(self) -> stt.STT[Any]:
        return self._wrapped

    @property
    def model(self) -> str:
        return self._wrapped.model

    @property
    def provider(self) -> str:
        return self._wrapped.provider

    def _pass_metrics(self, *args: Any) -> None:
        self.emit("metrics_collected", *args)

    def _pass_error(self, *args: Any) -> None:
        self.emit("error", *args)

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        self._wrapped._update_session_keyterms(keyterms)

    def _push_conversation_item(self, ev: Any) -> None:
        self._wrapped._push_conversation_item(ev)

    def prewarm(self) -> None:
        self._wrapped.prewarm()

    async def aclose(self) -> None:
        self._wrapped.off("metrics_collected", self._pass_metrics)
        self._wrapped.off("error", self._pass_error)
        await self._wrapped.aclose()

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> RecognizeStream:
        inner = self._wrapped.stream(language=language, conn_options=conn_options)
        return _Stream(self, inner, self._engine, self._wait_s)

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> SpeechEvent:
        """Both at the same time; without an emotion where it takes longer than the words and `wait_s`."""
        hint = language if utils.is_given(language) else None
        hearing = asyncio.create_task(recognize(self._engine, buffer, hint), name="emostream")
        try:
            event = await self._wrapped.recognize(buffer, language=language, conn_options=conn_options)
            done, _ = await asyncio.wait({hearing}, timeout=self._wait_s)
            if not done:
                log.info("no emotion within %g s of the transcript", self._wait_s)
            elif error := hearing.exception():
                log.warning("no emotion: %s", error)
            else:
                attach(event, hearing.result())
            return event
        finally:
            await utils.aio.cancel_and_wait(hearing)


class _Stream(RecognizeStream):
    """The wrapped stream tries again by itself: what it raises at last is raised here."""

    def __init__(
        self, transcriber: EmotionSTT, inner: RecognizeStream, engine: Engine, wait_s: float
    ) -> None:
        super().__init__(stt=transcriber, conn_options=APIConnectOptions(max_retry=0))
        self._inner = inner
        self._engine = engine
        self._wait_s = wait_s
        self._turns = TurnEmotions()
        self._news = asyncio.Event()
        self._hearing = False
        self._emotions: EmotionStream | None = None

    async def _metrics_monitor_task(self, event_aiter: Any) -> None:
        async for _ in event_aiter:
            pass  # the wrapped stream reports its own

    async def aclose(self) -> None:
        await super().aclose()
        await self._inner.aclose()

    async def _run(self) -> None:
        self._inner.start_time_offset = self.start_time_offset
        tasks = [
            asyncio.create_task(self._forward(), name="audio"),
            asyncio.create_task(self._pass_on(), name="transcripts"),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            await utils.aio.cancel_and_wait(*tasks)

    async def _forward(self) -> None:
        """The audio, to both."""
        first = await first_frame(self)
        if first is None:
            self._inner.end_input()
            return
        self._emotions = EmotionStream(self._engine, start_of(first, None, _OPTIONS))
        hearing = asyncio.create_task(self._hear(self._emotions), name="emotions")
        try:
            self._push(first, self._emotions)
            async for item in self._input_ch:
                if isinstance(item, rtc.AudioFrame):
                    self._push(item, self._emotions)
                else:
                    self._inner.flush()
                    self._emotions.flush()
            self._inner.end_input()
            self._emotions.end()
            await hearing
        finally:
            await utils.aio.cancel_and_wait(hearing)

    def _push(self, frame: rtc.AudioFrame, emotions: EmotionStream) -> None:
        self._inner.push_frame(frame)
        emotions.send(bytes(frame.data))

    async def _hear(self, emotions: EmotionStream) -> None:
        self._hearing = True
        try:
            async with aclosing(emotions.events()) as events:
                async for event in events:
                    self._turns.heard(event)
                    if isinstance(event, messages.Emotion):
                        self.context = SpeakerEmotion.of([event])
                    self._news.set()
        except (EmostreamError, ModelError) as error:
            log.warning("no emotions from here on: %s", error)
        finally:
            self._hearing = False
            self._news.set()

    async def _pass_on(self) -> None:
        async for event in self._inner:
            if event.type == SpeechEventType.FINAL_TRANSCRIPT and self._emotions is not None:
                await self._add_emotion(event, self._emotions)
            self._event_ch.send_nowait(event)

    async def _add_emotion(self, event: SpeechEvent, emotions: EmotionStream) -> None:
        stretch = self._turns.transcribed(emotions.position_ms)
        data = event.alternatives[0] if event.alternatives else None
        if data is not None and data.end_time > data.start_time:  # the transcriber knows its place
            begin_ms, end_ms = (
                round((at - self.start_time_offset) * 1_000) for at in (data.start_time, data.end_time)
            )
            stretch = Stretch(begin_ms, end_ms)
        try:
            async with asyncio.timeout(self._wait_s):
                while self._hearing and self._turns.incomplete(stretch):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log.info("no emotion within %g s of the transcript", self._wait_s)
        attach(event, self._turns.emotions(stretch))


def attach(event: SpeechEvent, finals: list[messages.Emotion]) -> None:
    """Nothing where no emotion is known; other metadata stays."""
    if finals:
        for data in event.alternatives:
            data.metadata = {**(data.metadata or {}), METADATA_KEY: emotion_context(finals)}
