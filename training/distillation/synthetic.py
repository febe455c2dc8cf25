"""Synthetic English: lines of the text corpora, read by espeak-ng and Flite.

The two corpora of acted speech have two English sentences. To an encoder trained on those alone every other
sound of English is noise; synthetic voices carry no emotion, but they have the phones, and the teacher
provides the targets. Lines, voices and their pitch, range and speed depend on the seed alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from emostream.models import SAMPLE_RATE_HZ, Samples
from emostream.models.text_normalization import normalize_text

from ..corpora.example import Example
from ..data.audio_cache import AudioCache
from ..errors import SettingsError
from ..run_log import RunLog

CORPUS: Final = "synthetic"
_WORDS: Final = (4, 12)
_ACCENTS: Final = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
_VARIANTS: Final = (
    *(f"m{number}" for number in range(1, 9)),
    *(f"f{number}" for number in range(1, 6)),
    *("klatt", "klatt2", "klatt3", "klatt4", "Andy", "Annie", "Alicia", "Gene", "Jacky", "Lee", "Michael"),
    *("adam", "anika", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "edward", "grandma"),
    *("grandpa", "john", "linda", "max", "michel", "pablo", "quincy", "rob", "shelby", "steph", "travis"),
)
_FLITE_VOICES: Final = ("awb", "rms", "slt", "kal16")
_FLITE_SHARE: Final = 1 / 3
_PEAK: Final = 0.7


def synthetic_speech(
    lines: Sequence[Example], count: int, seed: int, cache: Path, log: RunLog
) -> tuple[list[Example], AudioCache]:
    """`count` clips of speaker `synthetic` and split train, from `cache` where it holds as many of that seed.

    Raises SettingsError where espeak-ng or Flite is not installed, or there are too few lines.
    """
    if not count:
        return [], AudioCache(np.zeros(0, np.int16), {})
    file = cache / f"synthetic-{seed}-{count}.npz"
    if not file.exists():
        _synthesize_all(_select_lines(lines, count, seed), seed, file, log)
    cached = np.load(file)
    keys = [f"{CORPUS}/{number}" for number in range(len(cached["spans"]))]
    spans = {key: (int(start), int(end)) for key, (start, end) in zip(keys, cached["spans"], strict=True)}
    examples = [
        Example(corpus=CORPUS, key=key, speaker=CORPUS, emotion="other", emotion_orig="none", split="train")
        for key in keys
    ]
    return examples, AudioCache(cached["samples"], spans)


def _select_lines(lines: Sequence[Example], count: int, seed: int) -> list[str]:
    least, most = _WORDS
    texts = sorted({normalize_text(line.words) for line in lines if line.split == "train"})
    texts = [text for text in texts if least <= len(text.split()) <= most and text.isascii()]
    if len(texts) < count:
        raise SettingsError(f"expected {count} lines of {least} to {most} words to speak, got {len(texts)}")
    return [texts[row] for row in np.random.default_rng([seed, 7]).permutation(len(texts))[:count]]


def _synthesize_all(texts: Sequence[str], seed: int, file: Path, log: RunLog) -> None:
    for program in ("espeak-ng", "flite"):
        if shutil.which(program) is None:
            raise SettingsError(
                f"expected the program {program}, found none: install it (Debian: apt install espeak-ng "
                "flite), or set distil.synthetic to 0"
            )
    pieces, spans, position = [], [], 0
    for number, text in enumerate(texts):
        samples = _synthesize(text, np.random.default_rng([seed, 8, number]))
        pieces.append((samples * 32767.0).astype(np.int16))
        spans.append((position, position + len(samples)))
        position += len(samples)
        if number % 500 == 0:
            log.line(f"synthetic: {number} of {len(texts)} lines")
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp.npz")
    np.savez(unfinished, samples=np.concatenate(pieces), spans=np.array(spans))
    unfinished.replace(file)


def _synthesize(text: str, rng: np.random.Generator) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "line.wav"
        command = (
            _flite_command(text, file, rng)
            if rng.random() < _FLITE_SHARE
            else _espeak_command(text, file, rng)
        )
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = soundfile.read(file, dtype="float32")
    mono = samples if samples.ndim == 1 else samples[:, 0]
    clip: Samples = soxr.resample(mono, rate, SAMPLE_RATE_HZ)
    loudest = max(float(np.abs(clip).max()), 1e-3)
    return (clip * (_PEAK / loudest)).astype(np.float32)


def _espeak_command(text: str, file: Path, rng: np.random.Generator) -> list[str]:
    voice = f"{rng.choice(_ACCENTS)}+{rng.choice(_VARIANTS)}"
    pitch, speed = str(rng.integers(10, 95)), str(rng.integers(120, 230))
    ranged = f'<speak><prosody range="{rng.integers(30, 250)}%">{text}</prosody></speak>'
    return ["espeak-ng", "-m", "-v", voice, "-p", pitch, "-s", speed, "-w", str(file), ranged]


def _flite_command(text: str, file: Path, rng: np.random.Generator) -> list[str]:
    settings = {
        "duration_stretch": rng.uniform(0.75, 1.3),
        "int_f0_target_mean": rng.uniform(90.0, 260.0),
        "int_f0_target_stddev": rng.uniform(8.0, 60.0),
    }
    options = [word for name, value in settings.items() for word in ("--setf", f"{name}={value:.2f}")]
    return ["flite", "-voice", str(rng.choice(_FLITE_VOICES)), *options, "-t", text, "-o", str(file)]
