"""Make forty labelled clips from the bundled recording, to try `fit --init` and `evaluate` with.

pip install 'emostream[train]'
python examples/forty_clips.py forty
python -m emostream.training fit --init bundled --data forty --output-dir my-model

Each of its eight utterances, of synthetic voices, as it is and in four augmented versions: noise, another
microphone, a room. Copies of a sentence are no new sentences, so figures on these clips mean nothing.
"""

from __future__ import annotations

import sys
import wave
from importlib.resources import files
from pathlib import Path

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Alignment
from emostream.training.augmentation.pipeline import augment
from emostream.training.augmentation.settings import AugmentSettings
from emostream.training.data.audio_decoding import read_clip

UTTERANCES = [  # start and end in seconds, and the intended emotion: demo/RECORDING.md
    (0.80, 3.14, "neutral"),
    (4.52, 6.82, "happy"),
    (8.40, 10.67, "angry"),
    (12.14, 16.49, "sad"),
    (18.07, 20.86, "neutral"),
    (22.18, 24.28, "happy"),
    (25.32, 26.97, "angry"),
    (28.29, 32.20, "sad"),
]
VERSIONS = 5
SETTINGS = AugmentSettings(noise=0.7, equalizer=0.5, reverb=0.5)


def main(folder: Path) -> None:
    recording = read_clip(Path(str(files("emostream.demo") / "recording.ogg")))
    for number, (start_s, end_s, label) in enumerate(UTTERANCES, 1):
        samples = recording[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]
        for version in range(VERSIONS):
            heard = samples
            if version:
                rng = np.random.default_rng([number, version])
                heard, _ = augment(samples, Alignment(), SETTINGS, rng)
            write(folder / label / f"{number}-{version}.wav", heard)
    print(f"{len(UTTERANCES) * VERSIONS} clips in {folder}")


def write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/forty_clips.py FOLDER")
    main(Path(sys.argv[1]))
