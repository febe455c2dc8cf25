"""WAV files in memory."""

from __future__ import annotations

import io
import wave

import numpy as np

from emostream.streamer.audio.frontend import encode_pcm


def wav_bytes(samples: np.ndarray, rate_hz: int = 16_000) -> bytes:
    """samples: (N,) float32, mono, written as 16-bit PCM."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(encode_pcm(samples, "pcm_s16le"))
    return file.getvalue()
