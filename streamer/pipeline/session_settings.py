"""What a session does with its audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Channels, LiveSettings, SegmenterSettings
from ..inference.request import Priority
from .running_baseline import ADAPT, SpeakerOptions


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """language: hint for the transcriber. words: whether events carry the words one by one; transcript:
    whether they carry any text at all. transcribe: whether there are words, where there is a transcriber.
    speculate, interim_interval_ms, interim_words_interval_ms: see LiveSettings; for audio in real time only.
    channels: which of the source's are heard, see `AudioSettings`. speaker: whether and how utterances are
    judged against the speaker's baseline; speakers: the same of each channel, where they differ.
    return_speaker: whether `closed` carries the baseline of the only channel. priority: of its utterances in
    the models' queues. queued: utterances of each channel that wait for the one that is to come out next.
    """

    segmenter: SegmenterSettings
    language: str | None = None
    words: bool = True
    transcript: bool = True
    speculate: bool = False
    interim_interval_ms: int = 0
    interim_words_interval_ms: int = 0
    transcribe: bool = True
    channels: Channels = "mix"
    speaker: SpeakerOptions = ADAPT
    speakers: Sequence[SpeakerOptions] = ()
    return_speaker: bool = False
    priority: Priority = Priority.FINAL
    queued: int = 2

    @classmethod
    def paced(cls, segmenter: SegmenterSettings, live: LiveSettings) -> SessionSettings:
        """For audio that comes in real time."""
        return cls(
            segmenter,
            speculate=live.speculate,
            interim_interval_ms=live.interim_interval_ms,
            interim_words_interval_ms=live.interim_words_interval_ms,
        )
