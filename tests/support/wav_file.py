"""WAV files, in memory and in folders."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import soundfile

from emostream.streamer.audio.frontend import encode_pcm
from tests.support.demo_speech import demo_speech
from tests.support.fakes import silence


def wav_bytes(samples: np.ndarray, rate_hz: int = 16_000) -> bytes:
    """samples: (N,) float32, mono, written as 16-bit PCM."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(encode_pcm(samples, "pcm_s16le"))
    return file.getvalue()


def write_speech(path: Path, seed: int, ms: int = 900) -> Path:
    """Speech for `ms`, with silence around it; 16 kHz mono. seed: which. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.concatenate([silence(400), demo_speech(ms, seed), silence(700)])
    soundfile.write(path, sound, 16_000)
    return path
