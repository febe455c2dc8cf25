"""Voice activity detection on frames of 20 ms. One detector a stream, which gets every frame in order."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import webrtcvad

from ..audio.frontend import Samples, to_int16
from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ, VadSettings
from ..errors import ConfigError


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
        return SileroVad(settings.threshold)
    return WebRtcVad(settings.aggressiveness)


class WebRtcVad:
    """WebRTC's Gaussian mixture model: no model file, some microseconds a frame."""

    def __init__(self, aggressiveness: int) -> None:
        self.name = f"webrtc {aggressiveness}"
        self._vad = webrtcvad.Vad(aggressiveness)

    def is_speech(self, frames: Samples) -> list[bool]:
        # All of a block at once: the conversion of a single frame costs four times the detector's own work.
        pcm = to_int16(frames)
        return [bool(self._vad.is_speech(frame.tobytes(), SAMPLE_RATE_HZ)) for frame in pcm]


_WINDOW: Final = 512
_CONTEXT: Final = 64
_STATE: Final = (1, 1, 128)


class SileroVad:
    """Silero's recurrent network, with its state and 64 samples of context carried along.

    It classifies windows of 512 samples; a frame of 320 gets the result of the last complete window.
    """

    def __init__(self, threshold: float) -> None:
        self.name = f"silero {threshold:g}"
        self._threshold = threshold
        self._network = _silero_network()
        self._h = np.zeros(_STATE, np.float32)
        self._c = np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._window = np.zeros(_WINDOW, np.float32)
        self._filled = 0
        self.probability = 0.0

    def is_speech(self, frames: Samples) -> list[bool]:
        return [self._push(frame) >= self._threshold for frame in frames]

    def _push(self, frame: Samples) -> float:
        taken = 0
        while taken < FRAME_SAMPLES:
            part = frame[taken : taken + _WINDOW - self._filled]
            self._window[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            taken += len(part)
            if self._filled == _WINDOW:
                self._classify_window()
        return self.probability

    def _classify_window(self) -> None:
        samples = np.concatenate([self._context, self._window])[np.newaxis]  # (1, 576)
        out, self._h, self._c = self._network.run(None, {"input": samples, "h": self._h, "c": self._c})
        self.probability = float(np.ravel(out)[-1])
        self._context = self._window[-_CONTEXT:].copy()
        self._filled = 0


@lru_cache(maxsize=1)
def _silero_network() -> Any:
    """One ONNX session for all streams: it keeps no state of its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(_silero_file()), sess_options=options, providers=["CPUExecutionProvider"]
    )


def _silero_file() -> Path:
    """The file that faster-whisper ships, found without importing it (that would load CTranslate2)."""
    spec = importlib.util.find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    files = [file for folder in folders for file in Path(folder, "assets").glob("silero_vad*.onnx")]
    if not files:
        raise ConfigError(
            "expected faster-whisper's silero_vad*.onnx for --vad silero, found none; "
            "reinstall faster-whisper or use --vad webrtc"
        )
    return max(files)
