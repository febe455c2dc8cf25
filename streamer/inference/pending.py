"""What is not known yet of a stream, because the utterances before are still analysed.

Encoding depends on nothing before it, so that consecutive utterances of a stream are analysed side by side;
only the step that needs the value waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Generic, Self, TypeVar

from emostream.models import SpeakerBaseline

T = TypeVar("T")


class Pending(Generic[T]):
    """Any number of analyses may wait for it; cancelling one of them leaves the others waiting."""

    def __init__(self) -> None:
        self._known = asyncio.Event()
        self._value: T | None = None

    @classmethod
    def known(cls, value: T) -> Self:
        pending = cls()
        pending.set(value)
        return pending

    def set(self, value: T) -> None:
        """The utterances before have been analysed: `wait` returns."""
        self._value = value
        self._known.set()

    async def wait(self) -> T:
        await self._known.wait()
        return self._value  # type: ignore[return-value]  # set before the event


class PendingBaseline(Pending[SpeakerBaseline]):
    """Of the stream's speaker; fusion waits for it."""


class PendingLanguage(Pending[str | None]):
    """Which language the stream has been in, None where none is certain; transcription waits for it."""
