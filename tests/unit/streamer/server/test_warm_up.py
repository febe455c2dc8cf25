"""The server is ready after a first clip; what speech costs is measured behind that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from emostream.models import Clip
from emostream.streamer.errors import AnalysisError
from emostream.streamer.server.warm_up import Watchdog, noise_clip, speech_clip
from tests.support.fakes import ManualClock


class Models:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.clips: list[Clip] = []
        self.calls: asyncio.Queue[asyncio.Future[float]] = asyncio.Queue()

    async def warm_up(self, clip: Clip) -> float:
        self.clips.append(clip)
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        await self.calls.put(answer)
        return await answer


class Admission:
    def __init__(self) -> None:
        self.expected: asyncio.Queue[float] = asyncio.Queue()

    def begin_warm_up(self) -> None:
        pass

    def end_warm_up(self) -> None:
        pass

    def expect(self, share: float) -> None:
        self.expected.put_nowait(share)

    def sample(self) -> None:
        pass


class World:
    def __init__(self) -> None:
        self.models, self.admission, self.clock = Models(), Admission(), ManualClock()
        self.watchdog = Watchdog(self.models, self.admission, self.clock, lambda: None)  # type: ignore[arg-type]

    async def call(self) -> asyncio.Future[float]:
        """The next one, which waits for its answer."""
        async with asyncio.timeout(60):
            return await self.models.calls.get()

    def is_ready(self) -> bool:
        return self.watchdog.warm

    async def expected(self) -> float:
        async with asyncio.timeout(60):
            return await self.admission.expected.get()


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    running = asyncio.create_task(made.watchdog.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_ready_after_noise_and_measured_with_speech() -> None:
    async with world() as made:
        call = await made.call()
        assert not made.is_ready()
        call.set_result(0.2)
        call = await made.call()
        assert made.is_ready()
        call.set_result(0.1)
        assert await made.expected() == 0.1
    assert [clip.seconds for clip in made.models.clips] == [0.5, 4.0]


@pytest.mark.parametrize("failed", [0, 1])
async def test_what_failed_is_tried_again(failed: int) -> None:
    async with world() as made:
        for number in range(3):
            call = await made.call()
            if number == failed:
                call.set_exception(AnalysisError("not yet"))
                for _ in range(20):  # until the warm-up has ended
                    await asyncio.sleep(0)
                made.clock.advance_to(made.clock.now() + 1.0)
            else:
                call.set_result(0.1)
        assert await made.expected() == 0.1
        assert made.is_ready()


def test_the_noise_is_soft_and_yet_audible() -> None:
    peak = float(np.abs(noise_clip().samples).max())
    assert 0.01 < peak < 0.1


def test_the_speech_is_there() -> None:
    assert float(np.abs(speech_clip().samples).max()) > 0.1
