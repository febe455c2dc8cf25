"""Time as an argument, so that tests can control it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`, at once if it has passed."""
        ...


class WallClock:
    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.now()))
