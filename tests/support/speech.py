"""Speech for tests: recordings of the shared data folder, and sentences spoken by a synthesiser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from emostream.models.types import SAMPLE_RATE_HZ, Samples
from tests.support.shared import DATA, SHARED


def recording(name: str) -> Samples:
    """(N,) float32 at 16 kHz of a file below shared/data; skips the test where it is not there."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"needs the recording {path}")
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(samples, dtype=np.float32)


def weights(name: str) -> Path:
    """A folder below shared/weights; skips the test where it is not there."""
    folder = SHARED / "weights" / name
    if not folder.is_dir():
        pytest.skip(f"needs the weights {folder}")
    return folder


def spoken(text: str, voice: str, into: Path) -> Samples:
    """(N,) float32 at 16 kHz: `text` in a flite voice; skips the test where flite is not installed."""
    flite = shutil.which("flite")
    if flite is None:
        pytest.skip("needs flite to speak")
    path = into / f"{voice}.wav"
    subprocess.run([flite, "-voice", voice, "-t", text, "-o", str(path)], check=True)
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ), dtype=np.float32)
