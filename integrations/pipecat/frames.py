"""What goes through the pipeline: the emotion frame, and the same for browsers and in metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pipecat.frames.frames import SystemFrame

from emostream.streamer.protocol import messages

METADATA_KEY: Final = "emostream"
"""Of `Frame.metadata`, and the `type` of messages to browsers."""


@dataclass
class EmotionFrame(SystemFrame):
    """The emotion of an utterance. A system frame: an interruption does not cancel it (the user who
    interrupts is the one whose voice it is about), and it waits behind no other frame.

    final: whether it is the last word on the utterance. probabilities: calibrated, by label, sum 1;
    confidence is that of `label`. reliable: whether to believe the label. text: empty without a transcriber.
    start_ms, end_ms: on the clock of the audio so far. user_id: of the audio, empty where the transport names
    none. event: with all there is (docs/protocol.md).
    """

    label: str
    confidence: float
    reliable: bool
    probabilities: dict[str, float]
    final: bool
    text: str
    start_ms: int
    end_ms: int
    user_id: str
    event: messages.Emotion

    @classmethod
    def of(cls, event: messages.Emotion, user_id: str) -> EmotionFrame:
        return cls(
            label=event.label,
            confidence=event.confidence,
            reliable=event.reliable,
            probabilities=event.probabilities,
            final=event.final,
            text=event.text,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            user_id=user_id,
            event=event,
        )

    def browser_message(self) -> dict[str, Any]:
        """The data of an RTVI server message."""
        names = ("label", "confidence", "reliable", "probabilities", "final", "text", "start_ms", "end_ms")
        return {"type": METADATA_KEY} | {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return f"{self.name}({self.label} {self.confidence:.0%})"
