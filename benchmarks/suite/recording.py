"""Sound as a WAV file, for the commands that read one."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.config import SAMPLE_RATE_HZ


def write_recording(samples: Samples, path: Path) -> Path:
    """samples: (N,) at 16 kHz. 16 bits, mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(encode_pcm(samples[:, np.newaxis], "pcm_s16le"))
    return path
