"""LiveKit's frames, and a transcriber, language model and voice for its agents, without accounts."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
    llm,
    stt,
    utils,
)
from livekit.agents.voice.io import AudioInput

from emostream.streamer.audio.frontend import Samples, encode_pcm

CHUNK_SAMPLES = 320


def rtc_frames(samples: Samples, sample_rate_hz: int = 16_000) -> list[rtc.AudioFrame]:
    """(n,) or (n, channels) -> frames of 320 samples."""
    columns = samples.reshape(len(samples), -1)
    blocks = [columns[first : first + CHUNK_SAMPLES] for first in range(0, len(columns), CHUNK_SAMPLES)]
    return [
        rtc.AudioFrame(
            encode_pcm(np.ascontiguousarray(block), "pcm_s16le"), sample_rate_hz, block.shape[1], len(block)
        )
        for block in blocks
    ]


class ScriptedSTT(stt.STT[str]):
    """Gives one transcript at each flush, and one for what is recognized at once."""

    def __init__(self, *, streaming: bool = True, timed: bool = False) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=streaming, interim_results=False))
        self.timed = timed
        self.frames = 0

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        return transcript("recognized at once")

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _ScriptedStream(self, conn_options)


class _ScriptedStream(stt.RecognizeStream):
    def __init__(self, owner: ScriptedSTT, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=owner, conn_options=conn_options)
        self._owner = owner

    async def _run(self) -> None:
        heard = begin = 0.0
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                self._owner.frames += 1
                heard += item.duration
            elif heard > begin:
                event = transcript("words", begin, heard) if self._owner.timed else transcript("words")
                self._event_ch.send_nowait(event)
                begin = heard


def transcript(text: str, start_time: float = 0.0, end_time: float = 0.0) -> stt.SpeechEvent:
    data = stt.SpeechData(
        language=LanguageCode("en"),
        text=text,
        start_time=start_time,
        end_time=end_time,
        metadata={"provider": "scripted"},
    )
    return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data])


class ScriptedLLM(llm.LLM[str]):
    """Answers always the same. contexts: what it was given each time, as (role, text)."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts: list[list[tuple[str, str]]] = []
        self.asked = asyncio.Event()

    def chat(self, *, chat_ctx: llm.ChatContext, **options: Any) -> llm.LLMStream:
        self.contexts.append(
            [(item.role, item.text_content or "") for item in chat_ctx.items if item.type == "message"]
        )
        self.asked.set()
        return _ScriptedAnswer(
            self,
            chat_ctx=chat_ctx,
            tools=options.get("tools") or [],
            conn_options=options.get("conn_options", DEFAULT_API_CONNECT_OPTIONS),
        )


class _ScriptedAnswer(llm.LLMStream):
    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content="I see.")
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class PushedAudio(AudioInput):
    """The user's microphone, as far as the agent knows."""

    def __init__(self) -> None:
        super().__init__(label="pushed")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    def push(self, samples: Samples) -> None:
        for frame in rtc_frames(samples):
            self._frames.put_nowait(frame)

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()
