"""Waiting for another process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.support.programs import PATIENCE_S


async def until(holds: Callable[[], object]) -> None:
    """Poll until it is true."""

    def asking() -> None:
        last = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < last, "it never became true"
            time.sleep(0.02)

    await asyncio.to_thread(asking)
