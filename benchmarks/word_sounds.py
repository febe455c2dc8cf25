"""What Whisper hears in `benchmarks.words`: acted sentences, read books, and sounds without a word."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emostream.models.types import SAMPLE_RATE_HZ, Samples
from emostream.training.data.audio_cache import read_clip

SECONDS: Final = (1.2, 2.0, 3.0, 4.5, 6.5, 9.0)
_SPEECH_BELOW_PEAK_DB: Final = 35
_BEFORE_S: Final = 0.2
_AFTER_S: Final = 0.5
_FRAME: Final = 400
_LONGEST_READ_S: Final = 11.0

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Spoken:
    """text: what is said; None where no text is known; empty where nothing is said."""

    kind: str
    text: str | None
    samples: Samples


def speech(data: Path, clips: int, seed: int = 0) -> list[Spoken]:
    """clips: of RAVDESS and of CREMA-D, half as many of LibriSpeech, whose texts are not known."""
    rng = np.random.default_rng(seed)
    ravdess = [
        row
        for row in _rows(data / "manifest.csv")
        if row["corpus"] == "ravdess" and not row["dup_of"] and row["split"] != "train"
    ]
    crema = _rows(data / "crema_d" / "manifest.csv")
    books = [
        row
        for row in _rows(data / "librispeech" / "manifest.csv")
        if float(row["duration"]) < _LONGEST_READ_S
    ]
    return [
        *(
            Spoken("RAVDESS", row["text"], cut_to_speech(read_clip(data / row["path"])))
            for row in _draw(rng, ravdess, clips)
        ),
        *(
            Spoken("CREMA-D", row["text"], cut_to_speech(read_clip(data / "crema_d" / row["path"])))
            for row in _draw(rng, crema, clips)
        ),
        *(
            Spoken("LibriSpeech", None, read_clip(data / "librispeech" / row["path"]))
            for row in _draw(rng, books, clips // 2)
        ),
    ]


def wordless(data: Path, clips: int, seed: int = 0) -> list[Spoken]:
    """Synthetic silence, noise and music, and `clips` of each of the ten kinds of ESC-10."""
    rng = np.random.default_rng(seed)
    made = [
        Spoken(name, "", make(round(seconds * SAMPLE_RATE_HZ), rng).astype(np.float32))
        for seconds in SECONDS
        for name, make in SOUNDS.items()
    ]
    folder = data / "noise"
    kinds: dict[str, list[dict[str, str]]] = {}
    for row in _rows(folder / "manifest.csv"):
        kinds.setdefault(row["emotion_orig"], []).append(row)
    for kind, rows in kinds.items():
        for place, row in enumerate(_draw(rng, rows, clips)):
            samples = read_clip(folder / row["path"])
            made.append(Spoken(kind, "", samples[: round((1.5, 2.5, 5.0)[place % 3] * SAMPLE_RATE_HZ)]))
    return made


def cut_to_speech(samples: Samples) -> Samples:
    """From a little before the first to a little after the last frame within 35 dB of the loudest, roughly
    as a segmenter cuts."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    loud = np.nonzero(level > level.max() * 10 ** (-_SPEECH_BELOW_PEAK_DB / 20))[0]
    first = loud[0] * _FRAME - round(_BEFORE_S * SAMPLE_RATE_HZ)
    last = (loud[-1] + 1) * _FRAME + round(_AFTER_S * SAMPLE_RATE_HZ)
    return samples[max(0, first) : last]


def _silence(samples: int, rng: np.random.Generator) -> Wave:
    return 1e-3 * rng.standard_normal(samples)


def _hum(samples: int, _: np.random.Generator) -> Wave:
    return 0.01 * np.sin(2 * np.pi * 50 * _time(samples))


def _white(samples: int, rng: np.random.Generator) -> Wave:
    return 0.1 * rng.standard_normal(samples)


def _pink(samples: int, rng: np.random.Generator) -> Wave:
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    wave = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), samples)
    pink: Wave = 0.3 * wave / np.abs(wave).max()
    return pink


def _music(samples: int, rng: np.random.Generator) -> Wave:
    """Plucked notes of a pentatonic scale with three harmonics."""
    wave, at, time = np.zeros(samples), 0, _time(samples)
    while at < samples:
        length = min(round(SAMPLE_RATE_HZ * float(rng.choice([0.25, 0.5]))), samples - at)
        pitch = 220 * 2 ** (float(rng.choice([0, 3, 5, 7, 10, 12, 15])) / 12)
        part = slice(at, at + length)
        tone = sum((np.sin(2 * np.pi * pitch * h * time[part]) / h for h in (1, 2, 3)), np.zeros(length))
        wave[part] = np.exp(-4 * np.arange(length) / length) * tone
        at += length
    music: Wave = 0.2 * wave
    return music


def _breath(samples: int, rng: np.random.Generator) -> Wave:
    swell = np.clip(np.sin(2 * np.pi * 0.4 * _time(samples)), 0, 1) ** 2
    breath: Wave = 0.05 * rng.standard_normal(samples) * swell
    return breath


def _laughter(samples: int, rng: np.random.Generator) -> Wave:
    """Five voiced bursts a second, each with a falling pitch and some breath."""
    time = _time(samples)
    bursts = np.clip(np.sin(2 * np.pi * 5 * time), 0, 1)
    phase = 2 * np.pi * np.cumsum(220 * (1 + 0.2 * np.sin(2 * np.pi * 5 * time))) / SAMPLE_RATE_HZ
    voice = sum((np.sin(h * phase) / h for h in range(1, 9)), np.zeros(samples))
    laughter: Wave = 0.2 * bursts * (voice / 2 + 0.3 * rng.standard_normal(samples))
    return laughter


SOUNDS: Final[dict[str, Callable[[int, np.random.Generator], Wave]]] = {
    "silence": _silence,
    "hum": _hum,
    "white noise": _white,
    "pink noise": _pink,
    "music": _music,
    "breath": _breath,
    "laughter": _laughter,
}


def _time(samples: int) -> Wave:
    return np.arange(samples) / SAMPLE_RATE_HZ


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def _draw(rng: np.random.Generator, rows: list[dict[str, str]], count: int) -> Iterator[dict[str, str]]:
    return (rows[i] for i in rng.choice(len(rows), min(count, len(rows)), replace=False))
