"""Waiting for another process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.support.programs import TIMEOUT_S


async def until(holds: Callable[[], object]) -> None:
    """Polls until it is true."""

    def poll() -> None:
        last = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < last, "expected the condition to become true in time"
            time.sleep(0.02)

    await asyncio.to_thread(poll)
