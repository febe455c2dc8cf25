"""`EmotionContextProcessor`: tells the language model how the user sounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import Frame, LLMContextFrame, UserStartedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from ..wording import sounds
from .frames import EmotionFrame


def _says(frame: EmotionFrame) -> str | None:
    return sounds(frame.label, frame.confidence) if frame.reliable else None


class EmotionContextProcessor(FrameProcessor):
    """To be put between the user's aggregator and the language model. The context of a turn gets a message in
    front of the user's last one, in place of that of the turn before: `The user sounds angry ...`. Nothing is
    added where no emotion of the turn is reliable.

    role: of that message, `developer` or `system`. says: the sentence for an emotion, None for none.
    """

    def __init__(
        self,
        *,
        role: str = "system",
        says: Callable[[EmotionFrame], str | None] = _says,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._role = role
        self._says = says
        self._emotion: EmotionFrame | None = None  # of the present turn
        self._message: dict[str, str] | None = None  # in the context

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case UserStartedSpeakingFrame():
                self._emotion = None
            case EmotionFrame(final=True):
                self._emotion = self._stronger(frame)
            case LLMContextFrame() if direction is FrameDirection.DOWNSTREAM:
                self._tell(frame)
        await self.push_frame(frame, direction)

    def _stronger(self, frame: EmotionFrame) -> EmotionFrame:
        """Of several utterances of a turn, the longest reliable one."""
        before = self._emotion
        if before is None or not before.reliable:
            return frame
        longer = frame.end_ms - frame.start_ms >= before.end_ms - before.start_ms
        return frame if frame.reliable and longer else before

    def _tell(self, frame: LLMContextFrame) -> None:
        told: list[Any] = [one for one in frame.context.get_messages() if one is not self._message]
        self._message = None
        text = None if self._emotion is None else self._says(self._emotion)
        if text is not None:
            self._message = {"role": self._role, "content": text}
            told.insert(_last_of_user(told), self._message)
        frame.context.set_messages(told)


def _last_of_user(told: list[Any]) -> int:
    """Where the user's last message is; the end where there is none."""
    places = [at for at, one in enumerate(told) if isinstance(one, dict) and one.get("role") == "user"]
    return places[-1] if places else len(told)
