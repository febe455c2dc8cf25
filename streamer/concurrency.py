"""Structured concurrency: tasks that end together. Threads that take turns in the interpreter."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

_SHORT_TURN_S: Final = 0.0003


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises the first failure itself, not an ExceptionGroup around it: it is the one that
    cancelled the other tasks, and the one that callers handle.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as group_error:
        raise group_error.exceptions[0] from group_error


@contextmanager
def short_turns() -> Iterator[None]:
    """A thread that computes in Python lets another one in after 0.3 ms, in place of Python's 5 ms.

    A model's thread comes back into the interpreter a dozen times for an utterance, each time its libraries
    have computed something; behind an event loop that cuts recordings it would wait the 5 ms each time. Of
    the whole process (`sys.setswitchinterval`), while the context lasts.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SHORT_TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
