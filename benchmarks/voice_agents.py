"""What emostream adds to a Pipecat pipeline: how late an emotion reaches it, how much its frames are delayed.

python -m benchmarks.voice_agents [--pipelines 1,4] [--seconds 40]

The bundled recording goes through each pipeline in real time, in frames of 20 ms, beside a pipeline of the
same kind without the processor, in the same process. `emotion`: from the moment when the session has appended
its event to the moment when the `EmotionFrame` reaches the processor behind. `frame`: from the processor in
front of it to the one behind, for every frame of audio, with `EmotionProcessor` between them and with a
processor that only passes frames on.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from importlib.resources import as_file, files

import numpy as np
from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from emostream.integrations import LocalEngine
from emostream.integrations.pipecat import EmotionFrame, EmotionProcessor
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol.messages import E

CHUNK_SAMPLES = 320

appended: dict[int, float] = {}
"""When an event was appended, by its identity: it reaches the pipeline as the same object."""
kept: list[object] = []


class Passing(FrameProcessor):
    """Only passes frames on."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Stamp(FrameProcessor):
    """When each frame came."""

    def __init__(self) -> None:
        super().__init__()
        self.audio: dict[int, float] = {}
        self.emotions: list[float] = []  # seconds after their events

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.audio[frame.id] = time.perf_counter()
        elif isinstance(frame, EmotionFrame):
            self.emotions.append(time.perf_counter() - appended[id(frame.event)])
        await self.push_frame(frame, direction)


async def run_one(processor: FrameProcessor, chunks: list[bytes]) -> tuple[list[float], list[float]]:
    """Delays in seconds: of the frames, and of the emotions."""
    before, behind = Stamp(), Stamp()
    worker = PipelineWorker(Pipeline([before, processor, behind]), enable_rtvi=False, idle_timeout_secs=None)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, chunk in enumerate(chunks):
        await asyncio.sleep(max(0.0, began + number * 0.02 - loop.time()))
        await worker.queue_frame(InputAudioRawFrame(chunk, 16_000, 1))
    await worker.queue_frame(EndFrame())
    await running
    return [behind.audio[key] - before.audio[key] for key in behind.audio], behind.emotions


def row(name: str, seconds: list[float]) -> str:
    p50, p95, p99 = np.percentile(np.array(seconds) * 1_000, [50, 95, 99])
    return f"| {name} | {len(seconds)} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {max(seconds) * 1_000:.2f} |"


async def measure(engine: LocalEngine, pipelines: int, chunks: list[bytes]) -> None:
    with_emotions = [run_one(EmotionProcessor(engine, end_timeout_s=30), chunks) for _ in range(pipelines)]
    without = [run_one(Passing(), chunks) for _ in range(pipelines)]
    results = await asyncio.gather(*with_emotions, *without)
    print(f"\n{pipelines} pipelines\n\n| ms | n | p50 | p95 | p99 | max |\n|---|---|---|---|---|---|")
    own, other = results[:pipelines], results[pipelines:]
    print(row("emotion", [delay for _, emotions in own for delay in emotions]))
    print(row("frame, EmotionProcessor", [delay for frames, _ in own for delay in frames]))
    print(row("frame, passing only", [delay for frames, _ in other for delay in frames]), flush=True)


def stamp_events() -> None:
    append = EventLog.append

    def stamped(self: EventLog, event: E) -> E:
        done = append(self, event)
        appended[id(done)] = time.perf_counter()
        kept.append(done)  # its identity stays its own
        return done

    EventLog.append = stamped  # type: ignore[method-assign]


async def main(pipelines: list[int], seconds: int) -> None:
    stamp_events()
    with as_file(files("emostream.demo") / "recording.ogg") as file:
        speech = decode_file(file)[: seconds * 16_000]
    pcm = (np.clip(speech, -1, 1) * 32_767).astype("<i2")
    chunks = [pcm[first : first + CHUNK_SAMPLES].tobytes() for first in range(0, len(pcm), CHUNK_SAMPLES)]
    with as_file(files("emostream.models") / "bundled") as checkpoint:
        engine = LocalEngine(asr="none", checkpoint=checkpoint)
        await engine.ready()
        for count in pipelines:
            await measure(engine, count, chunks)
        await asyncio.to_thread(engine.close)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", default="1,4")
    parser.add_argument("--seconds", type=int, default=40)
    arguments = parser.parse_args()
    asyncio.run(main([int(one) for one in arguments.pipelines.split(",")], arguments.seconds))
