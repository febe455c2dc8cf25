"""Voice activity detection on frames of 20 ms. One detector a stream, which gets every frame in order."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import webrtcvad

from emostream.models import VoiceActivityError, silero

from ..audio.frontend import Samples, to_int16
from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ, VadSettings
from ..errors import ConfigError

_FRAME_BYTES: Final = 2 * FRAME_SAMPLES


class Vad(Protocol):
    @property
    def name(self) -> str:
        """For people: `webrtc 2`, `silero 0.5`."""
        ...

    def is_speech(self, frames: Samples) -> list[bool]:
        """frames: (n, 320) float32 at 16 kHz, the next ones of the stream; the result does not depend on how
        they are divided into calls.
        """
        ...


def make_vad(settings: VadSettings) -> Vad:
    """A fresh detector. Raises ConfigError where its model file is missing."""
    if settings.name == "silero":
        try:
            return SileroVad(settings.threshold)
        except VoiceActivityError as error:
            raise ConfigError(str(error)) from error
    return WebRtcVad(settings.aggressiveness)


class WebRtcVad:
    """WebRTC's Gaussian mixture model: no model file, some microseconds a frame."""

    def __init__(self, aggressiveness: int) -> None:
        self.name = f"webrtc {aggressiveness}"
        self._vad = webrtcvad.Vad(aggressiveness)

    def is_speech(self, frames: Samples) -> list[bool]:
        # All of a block at once: the conversion of a single frame costs four times the detector's own work.
        pcm = to_int16(frames).tobytes()
        is_speech = self._vad.is_speech
        return [
            bool(is_speech(pcm[first : first + _FRAME_BYTES], SAMPLE_RATE_HZ))
            for first in range(0, len(pcm), _FRAME_BYTES)
        ]


class SileroVad:
    """Silero's recurrent network, with its state and 64 samples of context carried along.

    It classifies windows of 512 samples; a frame of 320 gets the result of the last complete window.
    """

    def __init__(self, threshold: float) -> None:
        self.name = f"silero {threshold:g}"
        self._threshold = threshold
        silero.silero_session()  # a missing file is an error of the settings, not of the first window
        self._state = silero.initial_state()
        self._samples = np.zeros(silero.CONTEXT + silero.WINDOW, np.float32)  # the context, then the window
        self._filled = silero.CONTEXT
        self.probability = 0.0

    def is_speech(self, frames: Samples) -> list[bool]:
        return [self._push(frame) >= self._threshold for frame in frames]

    def _push(self, frame: Samples) -> float:
        taken = 0
        while taken < FRAME_SAMPLES:
            part = frame[taken : taken + len(self._samples) - self._filled]
            self._samples[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            taken += len(part)
            if self._filled == len(self._samples):
                self._classify_window()
        return self.probability

    def _classify_window(self) -> None:
        (probability,), self._state = silero.classify_windows(self._samples[np.newaxis], self._state)
        self.probability = float(probability)
        self._samples[: silero.CONTEXT] = self._samples[-silero.CONTEXT :]
        self._filled = silero.CONTEXT
