"""Show what a voice agent's language model is told of how the user sounds, in a Pipecat pipeline.

The words and the emotion are emostream's; the language model is a script that prints what it is given, so
that no account is needed: put a service of Pipecat's in its place.

pip install 'emostream[whisper,pipecat]'
python examples/pipecat_context.py speech.wav [ws://127.0.0.1:8765]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame, LLMContextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from emostream.integrations.pipecat import (
    EmostreamSTTService,
    EmotionContextProcessor,
    LocalEngine,
    ServerEngine,
)
from emostream.streamer.audio.decode import decode_file

RATE = 16_000


class ScriptedLLM(FrameProcessor):
    """Prints the context of each turn. A service of Pipecat's would answer."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            for message in frame.context.get_messages():
                if isinstance(message, dict):
                    print(f"{message['role']:>9}: {message['content']}", flush=True)
            print(flush=True)
        await self.push_frame(frame, direction)


async def speak(worker: PipelineWorker, samples: np.ndarray) -> None:
    """What a transport does: frames of 20 ms, at the pace at which it was spoken, then silence."""
    pcm = (np.clip(np.pad(samples, (0, 2 * RATE)), -1, 1) * 32_767).astype("<i2")
    for first in range(0, len(pcm), RATE // 50):
        block = pcm[first : first + RATE // 50].tobytes()
        await worker.queue_frame(InputAudioRawFrame(block, RATE, 1))
        await asyncio.sleep(0.02)
    await worker.queue_frame(EndFrame())


async def main(path: str, server: str | None = None) -> None:
    samples = decode_file(Path(path))  # mono, 16 kHz
    context = LLMContext([{"role": "system", "content": "You are kind, and you answer briefly."}])
    params = LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(sample_rate=RATE),
        user_turn_strategies=UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()]),
    )
    user, assistant = LLMContextAggregatorPair(context, user_params=params)
    engine = ServerEngine(server) if server else LocalEngine.shared()
    await engine.ready()  # the models load before the audio begins
    stt = EmostreamSTTService(engine, language="en", ttfs_p99_latency=1.0)
    pipeline = Pipeline([stt, user, EmotionContextProcessor(), ScriptedLLM(), assistant])
    worker = PipelineWorker(pipeline, idle_timeout_secs=None)
    runner = WorkerRunner()
    await runner.add_workers(worker)
    speaking = asyncio.create_task(speak(worker, samples))
    await runner.run()
    speaking.cancel()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
