"""Pipecat pipelines that run to their end, and what comes out of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from emostream.streamer.audio.frontend import Samples, encode_pcm

F = TypeVar("F", bound=Frame)

CHUNK_SAMPLES = 320


class Recorder(FrameProcessor):
    """Keeps the frames that pass, downstream and upstream."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.upstream: list[Frame] = []
        self._news = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        async with self._news:
            (self.frames if direction is FrameDirection.DOWNSTREAM else self.upstream).append(frame)
            self._news.notify_all()
        await self.push_frame(frame, direction)

    def of(self, kind: type[F]) -> list[F]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def until_there_are(self, count: int, kind: type[Frame]) -> None:
        """Raises TimeoutError."""
        await self.until(lambda seen: len(seen.of(kind)) >= count)

    async def until(self, condition: Callable[[Recorder], object]) -> None:
        """Wait for frames. Raises TimeoutError."""
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: condition(self))


@asynccontextmanager
async def running(processors: Sequence[FrameProcessor]) -> AsyncIterator[PipelineWorker]:
    """Inside, the pipeline runs; an EndFrame or a cancellation must end it."""
    worker = PipelineWorker(Pipeline(list(processors)), enable_rtvi=False, idle_timeout_secs=None)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    try:
        yield worker
        async with asyncio.timeout(60):
            await task
    finally:
        if not task.done():
            await worker.cancel()
            await asyncio.wait({task}, timeout=30)


def audio_frames(samples: Samples, sample_rate_hz: int = 16_000) -> list[InputAudioRawFrame]:
    """(n,) or (n, channels) -> frames of 20 ms at 16 kHz."""
    columns = samples.reshape(len(samples), -1)
    return [
        InputAudioRawFrame(
            audio=encode_pcm(np.ascontiguousarray(columns[first : first + CHUNK_SAMPLES]), "pcm_s16le"),
            sample_rate=sample_rate_hz,
            num_channels=columns.shape[1],
        )
        for first in range(0, len(columns), CHUNK_SAMPLES)
    ]
