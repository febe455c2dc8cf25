"""Time as an argument."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds from an arbitrary moment, never going back."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`, at once if it has passed."""
        ...


class WallClock:
    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.now()))
