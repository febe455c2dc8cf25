"""Which results a fresh session repeats: of several channels, one may have a final behind what another needs.

Audio is sent again from the first utterance without a result on. On the other channels it may hold utterances
that have theirs.
"""

from __future__ import annotations

from typing import Final

from ..protocol import messages

_EDGE_MS: Final = 100
"""A detector that begins afresh may find the next utterance so much earlier; none is that short."""


class RepeatedResults:
    """Call `note` with every event, and `begin_again` at a fresh session."""

    def __init__(self) -> None:
        self._ends_ms: dict[int, int] = {}  # channel -> the end of its last utterance with a result
        self._covered_ms: dict[int, int] = {}  # the same of the session before, on the present clock
        self._repeated: set[int] = set()  # utterances

    def begin_again(self, clock_start_ms: int) -> None:
        """In a session whose clock begins here on that of the session before."""
        ends_ms = self._covered_ms | self._ends_ms
        self._covered_ms = {channel: end - clock_start_ms for channel, end in ends_ms.items()}
        self._ends_ms = {}
        self._repeated = set()

    def note(self, event: messages.ServerEvent) -> bool:
        """Whether the session before has given this result."""
        match event:
            case messages.SpeechStarted(channel=int(channel)):
                if event.start_ms < self._covered_ms.get(channel, 0) - _EDGE_MS:
                    self._repeated.add(event.utterance)
            case (
                messages.Emotion(final=True, channel=int(channel)) | messages.NoEmotion(channel=int(channel))
            ):
                self._ends_ms[channel] = event.end_ms
        return getattr(event, "utterance", None) in self._repeated
