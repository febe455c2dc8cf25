"""Silero's voice activity network (MIT licence), from the file that faster-whisper ships.

It classifies windows of 512 samples, each preceded by the last 64 samples of the one before, and carries a
recurrent state from window to window.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .arena import run_options
from .errors import VoiceActivityError
from .types import SAMPLE_RATE_HZ, Samples

WINDOW: Final = 512
CONTEXT: Final = 64
_STATE: Final = (1, 1, 128)

State = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Hidden and cell state of the LSTM, (1, 1, 128) each."""


def initial_state() -> State:
    return np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)


@lru_cache(maxsize=1)
def silero_session() -> Any:
    """One ONNX session for all callers and threads: it keeps no state of its own.

    Raises VoiceActivityError where the file is missing.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(_silero_file()), sess_options=options, providers=["CPUExecutionProvider"]
    )


def classify_windows(windows: npt.NDArray[np.float32], state: State) -> tuple[npt.NDArray[np.float32], State]:
    """windows: (n, 576), consecutive ones of one stream, each with its context in front.

    Returns their speech probabilities (n,) and the state after the last one.
    """
    inputs = {"input": windows, "h": state[0], "c": state[1]}
    seconds = len(windows) * WINDOW / SAMPLE_RATE_HZ
    output, hidden, cell = silero_session().run(None, inputs, run_options(seconds))
    return np.ravel(output), (hidden, cell)


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """The speech probability of every window of a clip (N,) -> (ceil(N / 512),), the last one padded with
    zeros. The probabilities of a clip's beginning do not depend on what follows.
    """
    count = -(-len(samples) // WINDOW)
    if not count:
        return np.zeros(0, np.float32)
    padded = np.zeros(CONTEXT + count * WINDOW, np.float32)
    padded[CONTEXT : CONTEXT + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + WINDOW)[::WINDOW]  # (n, 576)
    return classify_windows(np.ascontiguousarray(windows), initial_state())[0]


def _silero_file() -> Path:
    """Found without importing faster-whisper (that would load CTranslate2)."""
    spec = importlib.util.find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    files = [file for folder in folders for file in Path(folder, "assets").glob("silero_vad*.onnx")]
    if not files:
        raise VoiceActivityError(
            "expected faster-whisper's silero_vad*.onnx, found none; reinstall faster-whisper, or turn off "
            'what needs it (models.speech_check = false, vad.name = "webrtc")'
        )
    return max(files)
