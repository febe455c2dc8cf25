"""The pipeline's audio on its way to an engine: a stream that is opened with the first audio, and again where
it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, Final, Protocol

from pipecat.frames.frames import InputAudioRawFrame, UserAudioRawFrame

from emostream.models import ModelError
from emostream.streamer.errors import EmostreamError
from emostream.streamer.protocol import messages

from ..emotion_stream import EmotionStream, Engine
from ..turn_emotions import TurnEmotions

log = logging.getLogger(__name__)

_SETUP_S: Final = 12.0
"""Pipecat gives a pipeline 20 s."""
_OPEN_AGAIN_S: Final = 5.0
"""After a stream that failed."""


class Owner(Protocol):
    """The frame processor that listens."""

    def create_task(
        self, coroutine: Coroutine[Any, Any, None], name: str | None = None
    ) -> asyncio.Task[None]: ...

    async def stream_event(self, event: messages.ServerEvent) -> None: ...

    async def stream_failed(self, error: Exception) -> None: ...


class Listener:
    """Nothing here waits but `finish` and `drop`."""

    def __init__(self, engine: Engine, owner: Owner, options: messages.Options, language: str | None) -> None:
        self.language = language
        self.user_id = ""
        self.turns = TurnEmotions()  # of the present stream
        self._engine = engine
        self._owner = owner
        self._options = options
        self._stream: EmotionStream | None = None
        self._format: tuple[int, int] | None = None
        self._readers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._open_at = 0.0

    async def get_ready(self) -> None:
        """Load the models, where they are here. A pipeline has to be set up in time: where they take longer,
        the audio so far waits for them.
        """
        try:
            async with asyncio.timeout(_SETUP_S):
                await self._engine.ready()
        except TimeoutError:
            log.warning("the models are still loading; load them before: `await engine.ready()`")
        except (EmostreamError, ModelError) as error:
            await self._owner.stream_failed(error)

    @property
    def position_ms(self) -> int:
        """The clock of the present stream."""
        return 0 if self._stream is None else self._stream.position_ms

    def hear(self, frame: InputAudioRawFrame) -> None:
        self.user_id = frame.user_id if isinstance(frame, UserAudioRawFrame) else ""
        if self._closed or not frame.audio:
            return
        if self._format != (frame.sample_rate, frame.num_channels):
            self.begin_again()
        if self._stream is None:
            if asyncio.get_running_loop().time() < self._open_at:
                return
            self._format = (frame.sample_rate, frame.num_channels)
            self._stream = self._open(frame)
        self._stream.send(frame.audio)

    def _open(self, frame: InputAudioRawFrame) -> EmotionStream:
        start = messages.Start(
            encoding="pcm_s16le",
            sample_rate=frame.sample_rate,
            channels=frame.num_channels,
            language=self.language,
            options=self._options,
        )
        stream = EmotionStream(self._engine, start)
        self.turns = TurnEmotions()
        reader = self._owner.create_task(self._read(stream, self.turns), "emostream events")
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return stream

    async def _read(self, stream: EmotionStream, turns: TurnEmotions) -> None:
        try:
            async with aclosing(stream.events()) as events:
                async for event in events:
                    turns.heard(event)
                    await self._owner.stream_event(event)
        except (EmostreamError, ModelError) as error:
            self._open_at = asyncio.get_running_loop().time() + _OPEN_AGAIN_S
            await self._owner.stream_failed(error)
        finally:
            if self._stream is stream:
                self._stream = None

    def flush(self) -> None:
        """End the utterance in progress here."""
        if self._stream is not None:
            self._stream.flush()

    def begin_again(self) -> None:
        """In another stream, from the next audio on; the finals of this one still come."""
        if self._stream is not None:
            self._stream.end()
            self._stream = None

    async def finish(self, timeout_s: float) -> bool:
        """No more audio. Returns when all events have come, or false where they do not come in time."""
        self._closed = True
        self.begin_again()
        if not self._readers:
            return True
        _, late = await asyncio.wait(self._readers, timeout=timeout_s)
        if late:
            await self.drop()
        return not late

    async def drop(self) -> None:
        """No more audio and no more events."""
        self._closed = True
        self._stream = None
        readers = list(self._readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
