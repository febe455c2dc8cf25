"""What a process leaves behind on its way out: nothing on standard error."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tests.support.programs import ENVIRONMENT, TIMEOUT_S

# A thread that never ends holds the session, as that of a hanging model does after Ctrl-C. The library behind
# soxr reports resamplers that are still there when the interpreter ends.
SCRIPT: Final = """
import asyncio, sys, threading
import numpy as np
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from tests.support.fakes import FakeRecognizer, LoudnessVad
from tests.support.streams import ListSource

class Source(ListSource):
    sample_rate_hz = 48_000

    async def items(self):
        async for item in super().items():
            yield item
        await asyncio.Event().wait()

async def main():
    async with Engine(None, FakeRecognizer(), WallClock()).running() as engine:
        source = Source([Pcm(np.zeros((4_800, 1), np.float32))])
        session = Session(
            source, LoudnessVad, engine, EventLog("s"), [], SessionSettings(SegmenterSettings()), WallClock()
        )
        threading.Thread(target=lambda held: threading.Event().wait(), args=[session], daemon=True).start()
        try:
            async with asyncio.timeout(0.2):
                await session.run()
        except TimeoutError:
            print("cancelled")

asyncio.run(main())
"""


def test_a_cancelled_stream_that_something_still_holds_leaves_no_report() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=TIMEOUT_S, env=ENVIRONMENT
    )
    assert (done.stdout, done.stderr, done.returncode) == ("cancelled\n", "", 0)
