"""How far a client has come in its present session, and where that session's clock begins."""

from __future__ import annotations

from ..protocol import messages
from .repeated_results import RepeatedResults


class SessionProgress:
    """last_seq: of the events that came. last_end_ms: the end of the last utterance with a result.

    clock_start_ms: where the session's clock begins on that of the first one. over: `closed` has come, but
    not for all audio.
    """

    def __init__(self) -> None:
        self.last_seq = 0
        self.last_end_ms = 0
        self.clock_start_ms = 0
        self.over = False
        self._repeated = RepeatedResults()

    def note(self, event: messages.ServerEvent) -> bool:
        """False where the session before has given this result."""
        self.last_seq = max(self.last_seq, event.seq)
        match event:
            # Of one channel of several it says nothing about the others.
            case (
                messages.Emotion(final=True, channel=None, end_ms=end_ms)
                | messages.NoEmotion(channel=None, end_ms=end_ms)
            ):
                self.last_end_ms = end_ms
        return not self._repeated.note(event)

    def resume(self, ready: messages.Ready) -> messages.Resume | None:
        """For the first message of another connection; None where there is nothing to resume. ready: the
        session's.
        """
        if self.over or ready.resume_token is None:
            return None
        return messages.Resume(session=ready.session, resume_token=ready.resume_token, last_seq=self.last_seq)

    def begin_again(self, clock_start_ms: int) -> None:
        """In a fresh session, whose clock begins here on that of the session before."""
        self._repeated.begin_again(clock_start_ms)
        self.clock_start_ms += clock_start_ms
        self.last_seq = self.last_end_ms = 0
        self.over = False
