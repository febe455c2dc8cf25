"""How long a result that may be left out is waited for once the server is closing."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from ..clock import Clock

SHUTDOWN_GRACE_S: Final = 0.5
"""From the beginning of the shutdown: a final without a transcript is better than none."""

SHUTDOWN_MESSAGE: Final = "the server is closing: this utterance is classified from audio only"


class ShutdownGrace:
    """Without limit while the server runs, and `SHUTDOWN_GRACE_S` from `begin` on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = asyncio.Event()
        self._deadline = math.inf

    def begin(self) -> None:
        self._deadline = self._clock.now() + SHUTDOWN_GRACE_S
        self._begun.set()

    async def completes(self, task: asyncio.Task[Any]) -> bool:
        """Wait for the task, and return whether it is done. Neither cancels it nor reads its result."""
        begun = asyncio.create_task(self._begun.wait(), name="wait for shutdown")
        try:
            await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait({task}, timeout=max(0.0, self._deadline - self._clock.now()))
        finally:
            begun.cancel()
        return task.done()
