"""Show what a LiveKit agent's language model is told of how the user sounds, without a server.

The audio is a recording; the language model is a script that prints what it is given and answers nothing. In
an agent of yours `llm=` and `tts=` are plugins of LiveKit's, and the session starts in a room.

pip install 'emostream[whisper,livekit]'
python examples/livekit_emotions.py speech.wav [ws://127.0.0.1:8765]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, AgentSession, TurnHandlingOptions, llm
from livekit.agents.voice.io import AudioInput

from emostream import ClientAudio
from emostream.integrations.livekit import STT, EmotionAgent, LocalEngine, ServerEngine


class Recording(AudioInput):
    """At the pace at which it was spoken, then silence; `over` is set 3 s after its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(label="recording")
        self.over = asyncio.Event()
        self._frames = self._read(ClientAudio.file(path))

    async def _read(self, audio: ClientAudio) -> Any:
        form = audio.start()
        async for block in audio:
            if isinstance(block, bytes):
                samples = np.clip(np.frombuffer(block, "<f4"), -1, 1) * 32_767
                frames = len(samples) // form.channels
                yield rtc.AudioFrame(samples.astype("<i2").tobytes(), form.sample_rate, form.channels, frames)
        silence = bytes(2 * form.channels * (form.sample_rate // 10))
        for number in range(10**9):
            yield rtc.AudioFrame(silence, form.sample_rate, form.channels, form.sample_rate // 10)
            await asyncio.sleep(0.1)
            if number == 30:
                self.over.set()

    async def __anext__(self) -> rtc.AudioFrame:
        return await anext(self._frames)


class ScriptedLLM(llm.LLM):
    """Prints the context of each turn."""

    def chat(self, *, chat_ctx: llm.ChatContext, **options: Any) -> llm.LLMStream:
        for item in chat_ctx.items:
            if item.type == "message":
                print(f"{item.role:>9}: {item.text_content}", flush=True)
        print(flush=True)
        return Silence(
            self,
            chat_ctx=chat_ctx,
            tools=options.get("tools") or [],
            conn_options=options.get("conn_options", DEFAULT_API_CONNECT_OPTIONS),
        )


class Silence(llm.LLMStream):
    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content="...")
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


async def main(path: str, server: str | None = None) -> None:
    engine = ServerEngine(server) if server else LocalEngine.shared()
    await engine.ready()  # the models load before the audio begins
    stt = STT(engine, language="en")
    recording = Recording(Path(path))
    session: AgentSession[None] = AgentSession(
        stt=stt, llm=ScriptedLLM(), vad=None, turn_handling=TurnHandlingOptions(turn_detection="stt")
    )
    session.input.audio = recording
    await session.start(EmotionAgent(instructions="You are kind."), record=False)
    await recording.over.wait()
    await session.aclose()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
