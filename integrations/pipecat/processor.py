"""`EmotionProcessor`: hears what goes through the pipeline, and adds how it sounds."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    StopFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame

from emostream.streamer.errors import ConfigError
from emostream.streamer.output.emotion_context import emotion_context
from emostream.streamer.protocol import messages

from ..emotion_stream import Engine, engine_of
from ..turn_emotions import Stretch, TurnEmotions
from .frames import METADATA_KEY, EmotionFrame
from .listener import Listener

log = logging.getLogger(__name__)

_LONGEST_WAIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A transcription that waits for its emotion, until then; or what came behind one."""

    frame: Frame
    direction: FrameDirection
    turns: TurnEmotions
    stretch: Stretch | None = None
    until: float = 0.0


class EmotionProcessor(FrameProcessor):
    """Passes every frame on at once, and beside them an `EmotionFrame` for each utterance, a message to
    browsers (RTVI), and in `frame.metadata["emostream"]` of a transcription what is known of its emotion by
    then (docs/pipecat.md). To be put behind the transport's input and behind the transcriber, if there is
    one.

    engine: a server's address, a `ServerEngine` or a `LocalEngine`; None: the models in this process, which
    all processors share. wait_s: how long a transcription may be held until its emotion is there.
    flush_on_vad_stop: whether an utterance ends where the pipeline's own VAD says so: earlier, and often in
    the middle of a sentence. end_timeout_s: how long the last emotions are waited for at the end of the
    pipeline. interim_results: whether there are frames with `final` False while the user speaks.
    """

    def __init__(
        self,
        engine: Engine | str | None = None,
        *,
        language: str | None = None,
        wait_s: float = 0.0,
        flush_on_vad_stop: bool = False,
        interim_results: bool = False,
        rtvi: bool = True,
        end_timeout_s: float = 5.0,
        **kwargs: Any,
    ) -> None:
        """Raises ConfigError."""
        if not 0 <= wait_s <= _LONGEST_WAIT_S:
            raise ConfigError(f"expected wait_s of 0 to {_LONGEST_WAIT_S:g} seconds, got {wait_s}; change it")
        super().__init__(**kwargs)
        options = messages.Options(interim_results=interim_results)
        self._listener = Listener(engine_of(engine), self, options, language)
        self._wait_s = wait_s
        self._flush_on_vad_stop = flush_on_vad_stop
        self._rtvi = rtvi
        self._end_timeout_s = end_timeout_s

        self._held: deque[_Held] = deque()
        self._releasing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        await super().setup(setup)
        await self._listener.get_ready()

    async def cleanup(self) -> None:
        await self._drop()
        await super().cleanup()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TranscriptionFrame() if direction is FrameDirection.DOWNSTREAM:
                await self._pass_transcription(frame, direction)
                return
            case InterimTranscriptionFrame() if self._held:
                self._held.append(_Held(frame, direction, self._listener.turns))  # in its order
                return
            case EndFrame():
                await self._finish()
            case CancelFrame():
                await self._drop()
        await self.push_frame(frame, direction)
        match frame:
            case InputAudioRawFrame() if direction is FrameDirection.DOWNSTREAM:
                self._listener.hear(frame)
            case VADUserStartedSpeakingFrame(start_secs=late_s):
                self._listener.turns.turn_started(self._position_before(late_s))
            case VADUserStoppedSpeakingFrame(stop_secs=late_s):
                self._listener.turns.turn_ended(self._position_before(late_s))
                if self._flush_on_vad_stop:
                    self._listener.flush()
            case StopFrame():
                self._listener.flush()

    def _position_before(self, seconds: float) -> int:
        return self._listener.position_ms - round(seconds * 1_000)

    async def stream_event(self, event: messages.ServerEvent) -> None:
        self._news.set()
        match event:
            case messages.Emotion():
                frame = EmotionFrame.of(event, self._listener.user_id)
                await self.push_frame(frame)
                if self._rtvi:
                    await self.push_frame(RTVIServerMessageFrame(data=frame.browser_message()))
            case messages.Error(fatal=True, message=message):
                await self.push_error(f"emostream: {message}")
            case messages.Error(message=message):
                log.warning("%s", message)
            case messages.Dropped(ms=ms, reason=reason):
                log.warning("%d ms of audio were not analysed: %s", ms, reason)

    async def stream_failed(self, error: Exception) -> None:
        """The pipeline goes on, without emotions until a stream can be opened again."""
        self._news.set()
        await self.push_error(f"emostream: {error}", exception=error)

    async def _pass_transcription(self, frame: TranscriptionFrame, direction: FrameDirection) -> None:
        turns = self._listener.turns
        stretch = turns.transcribed(self._listener.position_ms)
        if not self._held and not (self._wait_s and turns.incomplete(stretch)):
            _attach(frame, turns, stretch)
            await self.push_frame(frame, direction)
            return
        until = self.get_event_loop().time() + self._wait_s
        self._held.append(_Held(frame, direction, turns, stretch, until))
        if self._releasing is None or self._releasing.done():
            self._releasing = self.create_task(self._release(), "emostream transcriptions")

    async def _release(self) -> None:
        """Pass on what is held, in its order. In a task of its own: an interruption drops what a processor
        works on, and the user's words must not be lost for having waited here.
        """
        while self._held:
            held = self._held[0]
            if held.stretch is not None and isinstance(held.frame, TranscriptionFrame):
                await self._wait_for_emotion(held.turns, held.stretch, held.until)
                _attach(held.frame, held.turns, held.stretch)
            await self.push_frame(held.frame, held.direction)
            self._held.popleft()

    async def _wait_for_emotion(self, turns: TurnEmotions, stretch: Stretch, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                while turns.incomplete(stretch):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log.info("no emotion within %g s of the transcription", self._wait_s)

    async def _finish(self) -> None:
        """Everything that is still to come comes now, in time."""
        if not await self._listener.finish(self._end_timeout_s):
            log.warning("the last emotions did not come within %g s", self._end_timeout_s)
        if self._releasing is not None:
            await asyncio.wait({self._releasing})

    async def _drop(self) -> None:
        await self._listener.drop()
        if self._releasing is not None:
            releasing, self._releasing = self._releasing, None
            await self.cancel_task(releasing)
        self._held.clear()


def _attach(frame: TranscriptionFrame, turns: TurnEmotions, stretch: Stretch) -> None:
    """In the metadata; nothing where no emotion is known."""
    if finals := turns.emotions(stretch):
        frame.metadata[METADATA_KEY] = emotion_context(finals)
