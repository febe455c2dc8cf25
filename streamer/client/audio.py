"""Microphone and recordings for a client: the `start` that announces them, and their bytes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import numpy as np

from ..audio.frontend import encode_pcm
from ..audio.microphone import MicrophoneSource, find_device
from ..audio.sources import AudioGap, FileSource, Pcm, Source, SourceWarning
from ..clock import WallClock
from ..protocol import messages

log = logging.getLogger(__name__)

_MOST_GAPS: Final = 32
_GAPS_WITHIN_S: Final = 15
"""A server takes 64 messages beside the audio that it has not acknowledged, some seconds. A codec that sends
nothing in silence leaves more gaps than that: beyond so many the short ones are sent as silence."""


class ClientAudio:
    """source: of this machine. For `connect(url, audio.start(...))` and `stream.recognize(audio)`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @classmethod
    def microphone(cls, name: str | None = None) -> ClientAudio:
        """name: a number or a part of the name, as `emostream devices` lists them; None is the system's.

        Raises DeviceError.
        """
        return cls(MicrophoneSource(find_device(name)))

    @classmethod
    def file(cls, path: Path, *, paced: bool = True, track: int = 1) -> ClientAudio:
        """paced: as it was spoken, or as fast as the server takes it. track: of a recording with several
        sound tracks, from 1. Raises SourceError.
        """
        return cls(FileSource(path, pace=WallClock() if paced else None, track=track))

    def start(
        self,
        *,
        language: str | None = None,
        token: str | None = None,
        options: messages.Options | None = None,
    ) -> messages.Start:
        return messages.Start(
            encoding="pcm_f32le",
            sample_rate=self._source.sample_rate_hz,
            channels=self._source.channels,
            language=language,
            token=token,
            options=options or messages.Options(),
        )

    def stop(self) -> None:
        """Let the audio end soon, as if it were over."""
        self._source.stop()

    async def __aiter__(self) -> AsyncIterator[bytes | messages.Gap]:
        """Raises SourceError where the audio ends early."""
        rate_hz, channels = self._source.sample_rate_hz, self._source.channels
        _, longest = messages.GAP_REASON_CHARACTERS
        position, gaps = 0, deque[int](maxlen=_MOST_GAPS)  # in samples, without the gaps
        async for item in self._source.items():
            match item:
                case Pcm(block):
                    position += len(block)
                    yield encode_pcm(block, "pcm_f32le")
                case AudioGap(ms, reason, frequent):
                    dense = len(gaps) == _MOST_GAPS and position - gaps[0] < _GAPS_WITHIN_S * rate_hz
                    if dense and frequent and ms < 1_000:
                        silence = np.zeros((ms * rate_hz // 1_000, channels), np.float32)
                        position += len(silence)
                        yield encode_pcm(silence, "pcm_f32le")
                    else:
                        gaps.append(position)
                        yield messages.Gap(ms=ms, reason=reason[:longest] or None)
                case SourceWarning(_, message):
                    log.warning("%s", message)
