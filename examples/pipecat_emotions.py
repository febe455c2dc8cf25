"""Print how a recording or this machine's microphone sounds, in a Pipecat pipeline.

pip install 'emostream[whisper,pipecat]'       (microphone on Linux: apt install libportaudio2)
python examples/pipecat_emotions.py speech.wav [ws://127.0.0.1:8765]
python examples/pipecat_emotions.py microphone
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
from pipecat.frames.frames import EndFrame, ErrorFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from emostream import ClientAudio
from emostream.integrations.pipecat import EmotionFrame, EmotionProcessor, LocalEngine, ServerEngine


class Printer(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case EmotionFrame(final=True):
                times = f"{frame.start_ms / 1000:7.2f} {frame.end_ms / 1000:7.2f}"
                print(f"{times}  {frame.label:<8} {frame.confidence:4.0%}  {frame.text}", flush=True)
            case ErrorFrame():
                print(frame.error, file=sys.stderr)
        await self.push_frame(frame, direction)


async def speak(worker: PipelineWorker, audio: ClientAudio) -> None:
    """What a transport does: frames of 16-bit audio, at the pace at which it is spoken."""
    form = audio.start()
    async for block in audio:
        if isinstance(block, bytes):
            samples = np.clip(np.frombuffer(block, "<f4"), -1, 1) * 32_767
            frame = InputAudioRawFrame(samples.astype("<i2").tobytes(), form.sample_rate, form.channels)
            await worker.queue_frame(frame)
    await worker.queue_frame(EndFrame())


async def main(source: str, server: str | None = None) -> None:
    audio = ClientAudio.microphone() if source == "microphone" else ClientAudio.file(Path(source))
    engine = ServerEngine(server) if server else LocalEngine.shared()
    await engine.ready()  # the models load before the audio begins
    worker = PipelineWorker(
        Pipeline([Printer(), EmotionProcessor(engine), Printer()]), idle_timeout_secs=None
    )
    runner = WorkerRunner()
    await runner.add_workers(worker)
    speaking = asyncio.create_task(speak(worker, audio))
    await runner.run()
    speaking.cancel()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
