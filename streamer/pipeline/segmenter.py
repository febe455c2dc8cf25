"""Endpointing: frames and their speech flags -> utterances. Sans-I/O, independent of any VAD and clock.

Inside, time is a frame index (20 ms) from the start of the stream; results are in samples. Every
`SpeechStarted` is followed by exactly one `Utterance` of the same number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np

from ..audio.frontend import Samples
from ..config import FRAME_MS, FRAME_SAMPLES, SegmenterSettings

Reason = Literal["silence", "max_length", "end_of_stream", "flush", "speaking"]


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech is confirmed. start: its first sample."""

    utterance: int
    start: int


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Speech from sample `start` to `end`, and the clip around it that is analysed.

    samples: (N,) float32; the clip, which begins at sample `clip_start` of the stream. decided_at: the
    position of the stream when the end was decided. All positions count from the stream's start. reason:
    `speaking` where it has no end yet, see `Segmenter.partial_utterance`. limit: the stream's end, if it has
    ended in the last frame: what follows it there is padding.
    """

    utterance: int
    start: int
    end: int
    clip_start: int
    samples: Samples
    reason: Reason
    decided_at: int
    limit: int | None = None


class Segmenter:
    """numbers: of the utterances; several segmenters of one stream share them."""

    def __init__(self, settings: SegmenterSettings, numbers: Iterator[int] | None = None) -> None:
        self._window_frames = settings.start_window_ms // FRAME_MS
        self._confirm = -(-settings.start_speech_ms // FRAME_MS)
        self._min_speech = -(-settings.min_speech_ms // FRAME_MS)
        self._min_silence = -(-settings.min_silence_ms // FRAME_MS)
        self._pre_roll = settings.pre_roll_ms // FRAME_MS
        self._tail = settings.tail_ms // FRAME_MS
        self._max = settings.max_utterance_ms // FRAME_MS
        self._quiet = 10.0 ** (-settings.speech_range_db / 10.0)

        # Frame `_base + i` is `_frames[i]`. Between utterances, only what a pre-roll may need is kept.
        self._frames: deque[Samples] = deque()
        self._flags: deque[bool] = deque()
        self._energies: deque[float] = deque()  # of the same frames, while an utterance is in progress
        self._base = 0
        self._window: deque[bool] = deque(maxlen=self._window_frames)

        # No clip begins before the floor: it is where the last utterance was cut.
        self._floor = 0
        self._numbers = count(1) if numbers is None else numbers
        self._number = 0

        # The utterance in progress, in frame indices.
        self._speaking = False
        self._announced = False
        self._first = 0
        self._clip_first = 0
        self._last = 0
        self._speech = 0
        self._peak = 0.0
        self._candidate: Utterance | None = None

    @property
    def position(self) -> int:
        """Samples received so far."""
        return (self._base + len(self._frames)) * FRAME_SAMPLES

    @property
    def restart_position(self) -> int:
        """Before this sample begins no utterance that has not ended yet: a segmenter that starts here finds
        the same ones.
        """
        return max(self._base, self._floor) * FRAME_SAMPLES

    @property
    def idle(self) -> bool:
        """Whether there is no utterance in progress, nor any speech that may be the beginning of one."""
        return not (self._speaking or any(self._window))

    @property
    def in_speech(self) -> bool:
        return self._speaking

    @property
    def speech_end(self) -> int:
        """Of the utterance in progress: where its last confirmed speech ends, in samples."""
        return (self._last + 1) * FRAME_SAMPLES

    @property
    def candidate(self) -> Utterance | None:
        """The utterance in progress as it will be if this pause lasts; None during speech.

        The final that follows holds the very same samples. Confirmed speech withdraws it, and so does a cut
        at the maximum length.
        """
        return self._candidate

    def partial_utterance(self) -> Utterance | None:
        """The utterance in progress so far; None where none is confirmed, or in a pause."""
        if not (self._speaking and self._announced) or self._candidate is not None:
            return None
        now = self._base + len(self._frames) - 1
        return self._utterance(now + 1, self._last + 1, "speaking", now)

    def push(
        self, frame: Samples, is_speech: bool, energy: float | None = None
    ) -> list[SpeechStarted | Utterance]:
        """One frame, (320,) float32, and whether it is speech -> what it starts or ends. energy: as of
        `frame_energies`, where it was computed for many frames at once.
        """
        now = self._base + len(self._frames)
        if self._speaking:
            energy = frame_energies(frame[np.newaxis])[0] if energy is None else energy
            self._energies.append(energy)
            is_speech = self._loud_enough(energy, is_speech)
        self._frames.append(frame)
        self._flags.append(is_speech)
        self._window.append(is_speech)
        confirmed = is_speech and sum(self._window) >= self._confirm
        if not self._speaking:
            if not confirmed:
                self._forget(now)
                return []
            self._begin(now)
        elif is_speech:
            self._speech += 1
        if confirmed:
            # A short burst inside a pause is not confirmed and does not move the end of speech.
            self._last, self._candidate = now, None
        out = self._announce() if self._speech >= self._min_speech and confirmed else []
        if now - self._last >= self._min_silence and not is_speech:
            # Speech that has just resumed gets the frames that it takes to be confirmed or not.
            out += self._end("silence", now)
        elif now + 1 - self._clip_first >= self._max:
            out += self._cut(now)
        elif self._announced and not is_speech and now - self._last >= max(self._tail, 1):
            self._candidate = self._candidate or self._utterance(
                self._last + 1 + self._tail, self._last + 1, "silence", now
            )
        return out

    def push_silence(self, frames: Samples) -> None:
        """frames: (n, 320) without speech, while idle: as `push` of each, none of which starts anything."""
        flags = [False] * len(frames)
        self._frames.extend(frames)
        self._flags.extend(flags)
        self._window.extend(flags)
        self._forget(self._base + len(self._frames) - 1)

    def flush(self, reason: Literal["flush", "end_of_stream"]) -> list[SpeechStarted | Utterance]:
        """End the utterance in progress here, if there is one."""
        if not self._speaking:
            # Unconfirmed speech counts for no later utterance, and is part of none.
            self._window.clear()
            self._floor = self._base + len(self._frames)
            return []
        return self._end(reason, self._base + len(self._frames) - 1)

    def skip(self, frames: int) -> None:
        """Move the clock over lost audio. Only between utterances."""
        if self._speaking:
            raise ValueError("expected no utterance in progress at a gap; flush first")
        self._base += len(self._frames) + frames
        self._frames.clear()
        self._flags.clear()
        self._energies.clear()
        self._window.clear()
        self._floor = self._base

    def _loud_enough(self, energy: float, is_speech: bool) -> bool:
        """The hangover and the false alarms of a VAD are far quieter than the voice: they are not speech."""
        if is_speech:
            self._peak = max(self._peak, energy)
        return is_speech and energy >= self._peak * self._quiet

    def _begin(self, now: int) -> None:
        self._energies = deque(frame_energies(np.stack(self._frames)))
        speech = [now - i for i, flag in enumerate(reversed(self._window)) if flag]
        self._first = max(min(speech), self._floor)
        self._clip_first = max(self._first - self._pre_roll, self._floor, self._base)
        self._last = now
        self._speech = sum(self._window)
        self._peak = max(self._energies[i - self._base] for i in speech)
        self._speaking, self._announced, self._candidate = True, False, None
        self._drop_before(self._clip_first)

    def _announce(self) -> list[SpeechStarted | Utterance]:
        if self._announced:
            return []
        self._announced = True
        self._number = next(self._numbers)
        return [SpeechStarted(self._number, self._first * FRAME_SAMPLES)]

    def _end(self, reason: Reason, now: int) -> list[SpeechStarted | Utterance]:
        cut = min(self._last + 1 + self._tail, now + 1)
        out: list[SpeechStarted | Utterance] = []
        if self._candidate is not None:
            decided_at = (now + 1) * FRAME_SAMPLES
            out.append(replace(self._candidate, reason=reason, decided_at=decided_at))
        elif self._announced:
            out.append(self._utterance(cut, self._last + 1, reason, now))
        self._speaking, self._candidate, self._floor = False, None, cut
        self._energies.clear()
        if reason != "silence":
            self._window.clear()  # flushed speech counts for no later utterance
        self._forget(now)
        return out

    def _cut(self, now: int) -> list[SpeechStarted | Utterance]:
        """The utterance is too long: end it at its quietest point and start the next one there."""
        cut = self._quietest()
        before = [i for i in range(self._first, cut) if self._flags[i - self._base]]
        after = [i for i in range(cut, now + 1) if self._flags[i - self._base]]
        out = self._announce()
        out.append(self._utterance(cut, max(before, default=cut - 1) + 1, "max_length", now))
        self._floor, self._candidate = cut, None
        if after and self._last >= cut:
            # The rest belongs to confirmed speech: it is announced at once, however short it is, so that no
            # syllable is lost.
            self._first, self._clip_first, self._speech = after[0], cut, len(after)
            self._announced = False
            self._drop_before(cut)
            out += self._announce()
        else:
            self._speaking = False
            self._energies.clear()
            self._forget(now)
        return out

    def _quietest(self) -> int:
        """The frame at the middle of the quietest 100 ms in the second half of the clip."""
        energy = np.array(self._energies)
        smooth = np.convolve(energy, np.ones(5), mode="valid")  # smooth[i] covers frames i .. i + 4
        half = len(energy) // 2
        return self._base + half + int(np.argmin(smooth[half:])) + 2

    def _utterance(self, cut: int, end: int, reason: Reason, now: int) -> Utterance:
        first = self._first_loud(end)
        clip_first = max(self._clip_first, first - self._pre_roll)
        clip = [self._frames[i - self._base] for i in range(clip_first, cut)]
        return Utterance(
            utterance=self._number,
            start=first * FRAME_SAMPLES,
            end=end * FRAME_SAMPLES,
            clip_start=clip_first * FRAME_SAMPLES,
            samples=np.concatenate(clip),
            reason=reason,
            decided_at=(now + 1) * FRAME_SAMPLES,
        )

    def _first_loud(self, end: int) -> int:
        """The first speech frame that is loud enough now that the utterance's peak is known."""
        for i in range(self._first, end):
            if self._flags[i - self._base] and self._energies[i - self._base] >= self._peak * self._quiet:
                return i
        return self._first

    def _forget(self, now: int) -> None:
        """Between utterances: keep what a pre-roll before the window's oldest frame may need, no more."""
        self._drop_before(now + 1 - self._window_frames - self._pre_roll)

    def _drop_before(self, frame: int) -> None:
        dropped = min(len(self._frames), max(0, frame - self._base))
        for of_frames in (self._frames, self._flags, self._energies):
            for _ in range(min(dropped, len(of_frames))):
                of_frames.popleft()
        self._base += dropped


def frame_energies(frames: Samples) -> list[float]:
    """The sum of squares of each of (n, 320), the same however frames are divided into calls."""
    energies: list[float] = (frames[:, np.newaxis, :] @ frames[:, :, np.newaxis]).ravel().tolist()
    return energies
