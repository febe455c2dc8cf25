"""Synthetic speech whose phones have known times: flite reports what it made."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from emostream.models import SAMPLE_RATE_HZ, Samples, Span

_SILENCE = "pau"
_ARPABET = {"AX": "AH"}  # flite distinguishes the schwa, the pronouncing dictionary does not


@dataclass(frozen=True)
class Spoken:
    """samples: (N,) float32 at 16 kHz. phones: where the synthesiser put them, silence left out."""

    samples: Samples
    phones: tuple[Span, ...]


def speak(text: str, voice: str, into: Path) -> Spoken:
    """`text` in a flite voice; skips the test where flite is not installed."""
    flite = shutil.which("flite")
    if flite is None:
        pytest.skip("needs flite to speak")
    path = into / f"{voice}.wav"
    done = subprocess.run(
        [flite, "-voice", voice, "-t", text, "-psdur", "-o", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    samples, rate_hz = soundfile.read(path, dtype="float32")
    resampled = np.asarray(soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ), dtype=np.float32)
    return Spoken(resampled, tuple(_phones(done.stdout)))


def _phones(printed: str) -> list[Span]:
    """`pau:0.184 dh:0.246 ...`: every phone with the second at which it ends."""
    phones, start = [], 0
    for name, end_s in re.findall(r"(\S+):(\d+\.\d+)", printed):
        end = round(float(end_s) * SAMPLE_RATE_HZ)
        if name != _SILENCE:
            phones.append(Span(_ARPABET.get(name.upper(), name.upper()), start, end))
        start = end
    return phones
