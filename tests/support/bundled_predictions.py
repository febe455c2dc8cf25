"""Predictions of the shipped weights for the demo's recording. `python -m tests.support.bundled_predictions`
stores them again: once, when the weights are replaced, and never to make a test pass.
"""

from __future__ import annotations

import csv
from pathlib import Path

from emostream.models import LABELS, Clip, EmotionInput, Transcript, load_recognizer
from emostream.models.checkpoint_files import BUNDLED
from emostream.training.data.audio_cache import read_clip

STORED = Path(__file__).with_name("bundled_predictions.csv")
_RECORDING = Path(__file__).resolve().parents[2] / "demo" / "recording.ogg"
_WINDOW = 3 * 16_000
_WORDS = Transcript("i can't believe you did that")


def current_predictions() -> list[tuple[float, ...]]:
    """Of the first 12 s, three seconds at a time, each without words and with some."""
    audio = read_clip(_RECORDING)
    clips = [Clip(audio[start : start + _WINDOW]) for start in range(0, 4 * _WINDOW, _WINDOW)]
    inputs = [EmotionInput(clip, words) for clip in clips for words in (None, _WORDS)]
    recognizer = load_recognizer(BUNDLED, device="cpu")
    return [tuple(prediction.probabilities) for prediction in recognizer.recognize(inputs)]


def stored_predictions() -> list[tuple[float, ...]]:
    with STORED.open(newline="", encoding="utf-8") as file:
        return [tuple(float(row[label]) for label in LABELS) for row in csv.DictReader(file)]


def store() -> None:
    with STORED.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABELS)
        writer.writerows([f"{probability:.4f}" for probability in row] for row in current_predictions())


if __name__ == "__main__":
    store()
