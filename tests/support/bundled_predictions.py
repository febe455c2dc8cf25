"""What the shipped weights say of the demo's recording. `python -m tests.support.bundled_predictions` keeps
it anew: once, when the weights are exchanged, and never to make a test pass.
"""

from __future__ import annotations

import csv
from pathlib import Path

from emostream.models import LABELS, Clip, EmotionInput, Transcript
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.data.audio_cache import read_clip

KEPT = Path(__file__).with_name("bundled_predictions.csv")
_RECORDING = Path(__file__).resolve().parents[2] / "demo" / "recording.ogg"
_WINDOW = 3 * 16_000
_WORDS = Transcript("i can't believe you did that")


def judged() -> list[tuple[float, ...]]:
    """Of the first 12 s, three seconds at a time, each without words and with some."""
    sound = read_clip(_RECORDING)
    clips = [Clip(sound[start : start + _WINDOW]) for start in range(0, 4 * _WINDOW, _WINDOW)]
    asked = [EmotionInput(clip, words) for clip in clips for words in (None, _WORDS)]
    recognizer = EmotionRecognizer.load(device="cpu")
    return [tuple(one.probabilities) for one in recognizer.recognize(asked)]


def kept() -> list[tuple[float, ...]]:
    with KEPT.open(newline="", encoding="utf-8") as file:
        return [tuple(float(row[label]) for label in LABELS) for row in csv.DictReader(file)]


def keep() -> None:
    with KEPT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABELS)
        writer.writerows([f"{share:.4f}" for share in row] for row in judged())


if __name__ == "__main__":
    keep()
