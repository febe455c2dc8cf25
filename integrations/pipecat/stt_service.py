"""`EmostreamSTTService`: the transcriber of a pipeline, which hears the emotion too."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    STTMuteFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from emostream.streamer.output.emotion_context import emotion_context
from emostream.streamer.protocol import messages

from ..emotion_stream import Engine, engine_of
from .frames import METADATA_KEY, EmotionFrame
from .listener import Listener

log = logging.getLogger(__name__)

_MODEL = "emostream"


class EmostreamSTTService(STTService):
    """Speech to text with the emotion of each utterance: an `EmotionFrame`, then a `TranscriptionFrame` whose
    `result` is the event with all there is, and whose `metadata["emostream"]` has the emotion.

    engine, end_timeout_s, rtvi: as for `EmotionProcessor`; the engine has to transcribe. language: BCP 47,
    None to detect it. interim_results: whether there are `InterimTranscriptionFrame`s while the user speaks.
    flush_on_vad_stop: whether an utterance ends where the pipeline's VAD says so. Other keywords: those of
    Pipecat's `STTService`.
    """

    def __init__(
        self,
        engine: Engine | str | None = None,
        *,
        language: Language | str | None = None,
        interim_results: bool = True,
        flush_on_vad_stop: bool = False,
        rtvi: bool = True,
        end_timeout_s: float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(settings=STTSettings(model=_MODEL, language=language), **kwargs)
        options = messages.Options(interim_results=interim_results)
        self._listener = Listener(engine_of(engine), self, options, _subtag(self._settings.language))
        self._heard: InputAudioRawFrame | None = None
        self._flush_on_vad_stop = flush_on_vad_stop
        self._rtvi = rtvi
        self._end_timeout_s = end_timeout_s

    def can_generate_metrics(self) -> bool:
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        await super().setup(setup)
        await self._listener.get_ready()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case VADUserStoppedSpeakingFrame() if self._flush_on_vad_stop:
                self._listener.flush()
            case STTMuteFrame(mute=True):
                self._listener.flush()

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        self._heard = frame  # `run_stt` gets the bytes only
        await super().process_audio_frame(frame, direction)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Nothing is yielded: transcriptions come when their utterances end."""
        if self._heard is not None:
            self._listener.hear(self._heard)
        yield None

    async def _update_settings(  # type: ignore[override]
        self, delta: STTSettings
    ) -> dict[str, Any]:
        changed = await super()._update_settings(delta)
        if "language" in changed:
            self._listener.language = _subtag(self._settings.language)
            self._listener.begin_again()
        self._warn_unhandled_updated_settings(changed.keys() - {"language"})
        return changed

    async def stop(self, frame: EndFrame) -> None:
        """The last transcriptions come before the end."""
        if not await self._listener.finish(self._end_timeout_s):
            log.warning("the last transcriptions did not come within %g s", self._end_timeout_s)
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._listener.drop()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._listener.drop()
        await super().cleanup()

    async def stream_event(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                await self._push_final(event)
            case messages.Emotion() if event.text:
                await self.push_frame(
                    InterimTranscriptionFrame(
                        event.text,
                        self._listener.user_id,
                        time_now_iso8601(),
                        _language(event.language),
                        result=event,
                    )
                )
            case messages.Error(fatal=True, message=message):
                await self.push_error(f"emostream: {message}")
            case messages.Error(message=message):
                log.warning("%s", message)
            case messages.Dropped(ms=ms, reason=reason):
                log.warning("%d ms of audio were not analysed: %s", ms, reason)

    async def _push_final(self, event: messages.Emotion) -> None:
        emotion = EmotionFrame.of(event, self._listener.user_id)
        await self.push_frame(emotion)
        if self._rtvi:
            await self.push_frame(RTVIServerMessageFrame(data=emotion.browser_message()))
        if not event.text:
            return
        frame = TranscriptionFrame(
            event.text,
            self._listener.user_id,
            time_now_iso8601(),
            _language(event.language),
            result=event,
            finalized=True,
        )
        frame.metadata[METADATA_KEY] = emotion_context([event])
        await self.push_frame(frame)
        await self.emit_stt_usage_metrics()

    async def stream_failed(self, error: Exception) -> None:
        """The pipeline goes on, without words until a stream can be opened again."""
        await self.push_error(f"emostream: {error}", exception=error)


def _subtag(language: Any) -> str | None:
    return str(language) if isinstance(language, str) and language else None


def _language(language: str | None) -> Language | None:
    """Pipecat's, None where it has none for it."""
    try:
        return None if language is None else Language(language)
    except ValueError:
        return None
