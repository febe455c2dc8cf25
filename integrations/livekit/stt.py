"""`STT`: emostream as the transcriber of a LiveKit agent."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    NotGivenOr,
    stt,
    utils,
)
from livekit.agents.stt import RecognizeStream, SpeechEvent, SpeechEventType, STTCapabilities

from emostream.models import ModelError
from emostream.streamer.errors import EmostreamError
from emostream.streamer.protocol import messages

from ..emotion_stream import EmotionStream, Engine, engine_of
from .speaker import SpeakerEmotion
from .speech_events import SpeechEvents, speech_data

log = logging.getLogger(__name__)


class STT(stt.STT[str]):
    """Speech to text with the emotion of each utterance in `SpeechData.metadata["emostream"]`; the stream's
    `context` is a `SpeakerEmotion`.

    engine: a server's address, a `ServerEngine` or a `LocalEngine`; None: the models in this process, shared
    by all. It has to transcribe. language: BCP 47, None to detect it. interim_results: whether there are
    words while the user speaks.
    """

    def __init__(
        self,
        engine: Engine | str | None = None,
        *,
        language: str | None = None,
        interim_results: bool = True,
    ) -> None:
        super().__init__(
            capabilities=STTCapabilities(
                streaming=True,
                interim_results=interim_results,
                aligned_transcript="word",
                manual_flush=True,
            )
        )
        self._engine = engine_of(engine)
        self._language = language
        self._options = messages.Options(interim_results=interim_results)

    @property
    def model(self) -> str:
        return "emostream"

    @property
    def provider(self) -> str:
        return "emostream"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> RecognizeStream:
        hint = language if utils.is_given(language) else self._language
        return _Stream(self, self._engine, hint, self._options, conn_options)

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> SpeechEvent:
        hint = language if utils.is_given(language) else self._language
        finals = await recognize(self._engine, buffer, hint)
        return SpeechEvent(SpeechEventType.FINAL_TRANSCRIPT, alternatives=[speech_data(finals)])


class _Stream(RecognizeStream):
    def __init__(
        self,
        transcriber: STT,
        engine: Engine,
        language: str | None,
        options: messages.Options,
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(stt=transcriber, conn_options=conn_options)
        self._engine = engine
        self._language = language
        self._options = options

    async def _run(self) -> None:
        first = await first_frame(self)
        if first is None:
            return
        stream = EmotionStream(self._engine, start_of(first, self._language, self._options))
        stream.send(bytes(first.data))
        self.start_time = time.time() - first.duration
        speech = SpeechEvents(self.start_time_offset, self.start_time)
        forward = asyncio.create_task(self._forward(stream), name="emostream audio")
        try:
            async with aclosing(stream.events()) as events:
                async for event in events:
                    self._note(event)
                    for one in speech.of(event):
                        self._event_ch.send_nowait(one)
            if not forward.done():
                raise APIConnectionError("the emostream session has ended before the audio")
        except (EmostreamError, ModelError) as error:
            raise as_api_error(error) from error
        finally:
            await utils.aio.cancel_and_wait(forward)

    def _note(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                self.context = SpeakerEmotion.of([event])
            case messages.Error(message=message):
                log.warning("%s", message)
            case messages.Dropped(ms=ms, reason=reason):
                log.warning("%d ms of audio were not analysed: %s", ms, reason)

    async def _forward(self, stream: EmotionStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                stream.send(bytes(item.data))
            else:
                stream.flush()
        stream.end()


async def first_frame(stream: RecognizeStream) -> rtc.AudioFrame | None:
    """What tells the format of the audio; None where there is none."""
    async for item in stream._input_ch:
        if isinstance(item, rtc.AudioFrame):
            return item
    return None


def start_of(frame: rtc.AudioFrame, language: str | None, options: messages.Options) -> messages.Start:
    return messages.Start(
        encoding="pcm_s16le",
        sample_rate=frame.sample_rate,
        channels=frame.num_channels,
        language=language,
        options=options,
    )


async def recognize(
    engine: Engine, buffer: utils.AudioBuffer, language: str | None
) -> list[messages.Emotion]:
    """The finals of a piece of speech. Raises APIError."""
    frame = utils.merge_frames(buffer)
    stream = EmotionStream(
        engine, start_of(frame, language, messages.Options(interim_results=False)), max_waiting_s=float("inf")
    )
    stream.send(bytes(frame.data))
    stream.end()
    try:
        async with aclosing(stream.events()) as events:
            return [event async for event in events if isinstance(event, messages.Emotion) and event.final]
    except (EmostreamError, ModelError) as error:
        raise as_api_error(error) from error


def as_api_error(error: EmostreamError | ModelError) -> APIError:
    """Models that cannot be loaded are not tried again."""
    if isinstance(error, ModelError):
        return APIError(str(error), retryable=False)
    return APIConnectionError(str(error))
