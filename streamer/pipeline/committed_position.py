"""Up to where a stream has given all its results: what its client need not keep for a restarted server."""

from __future__ import annotations

from collections import deque

from ..config import SAMPLE_RATE_HZ
from ..protocol import messages
from ..protocol.error_codes import ErrorCode


class CommittedPosition:
    """rate_hz: of the source. Positions of utterances are samples of the stream's clock at 16 kHz, in which
    gaps count; the result is in sample frames of the source, in which they do not.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._restart = 0  # where the segmenter could start again
        self._pending: dict[int, int] = {}  # utterances without a result: number -> where the clip begins
        self._gaps: deque[tuple[int, int]] = deque()  # (begin, samples) of those not passed yet
        self._passed_gaps = 0  # samples

    def add_gap(self, source_frames: int, gap_ms: int) -> None:
        """A gap after so many sample frames of the source."""
        before = self._passed_gaps + sum(samples for _, samples in self._gaps)
        begin = source_frames * SAMPLE_RATE_HZ // self._rate_hz + before
        self._gaps.append((begin, gap_ms * SAMPLE_RATE_HZ // 1_000))

    def add_utterance(self, number: int, clip_start: int) -> None:
        """An utterance has ended, and its analysis begins."""
        self._pending[number] = clip_start

    def advance(self, restart_position: int) -> None:
        """restart_position: before it begins no utterance that has not ended yet."""
        self._restart = restart_position

    def note_published(self, event: messages.ServerEvent) -> bool:
        """Whether the event is the result of an utterance."""
        match event:
            case messages.Emotion(final=True, utterance=number) | messages.NoEmotion(utterance=number):
                pass
            case messages.Error(code=ErrorCode.ANALYSIS_FAILED, utterance=int(number)):
                pass
            case _:
                return False
        self._pending.pop(number, None)
        return True

    @property
    def source_frames(self) -> int:
        position = min(self._restart, *self._pending.values()) if self._pending else self._restart
        while self._gaps and position >= sum(self._gaps[0]):
            self._passed_gaps += self._gaps.popleft()[1]
        if self._gaps:
            position = min(position, self._gaps[0][0])
        return max(0, position - self._passed_gaps) * self._rate_hz // SAMPLE_RATE_HZ
