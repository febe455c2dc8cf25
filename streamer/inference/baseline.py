"""A speaker's baseline that is not known yet: the utterances before are still analysed.

Encoding and transcription do not depend on the baseline, so that consecutive utterances of a stream are
analysed side by side; only the last step, fusion, waits here.
"""

from __future__ import annotations

import asyncio

from emostream.models import SpeakerBaseline


class PendingBaseline:
    """Any number of analyses may wait for it; cancelling one of them leaves the others waiting."""

    def __init__(self) -> None:
        self._known = asyncio.Event()
        self._state = SpeakerBaseline()

    @classmethod
    def known(cls, state: SpeakerBaseline) -> PendingBaseline:
        pending = cls()
        pending.set(state)
        return pending

    def set(self, state: SpeakerBaseline) -> None:
        """The utterances before have been analysed: `wait` returns."""
        self._state = state
        self._known.set()

    async def wait(self) -> SpeakerBaseline:
        await self._known.wait()
        return self._state
