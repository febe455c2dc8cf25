"""bfloat16 on real clips: probabilities close to those of float32, and almost always the same label."""

from __future__ import annotations

import numpy as np

from emostream.models import Clip, EmotionInput, Transcript
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.recognizer import EmotionRecognizer
from tests.support.shared import DATA, manifest, needs_data
from tests.support.speech import recording
from tests.support.tiny_emotion import noise


def test_bfloat16_probabilities_are_close_to_float32() -> None:
    """Probabilities of the bundled model, with and without text, single and batched."""
    speeches = [
        EmotionInput(Clip(noise(8_000 * (1 + seed % 5), seed)), Transcript("so happy") if seed % 2 else None)
        for seed in range(12)
    ]
    exact, short = (
        EmotionRecognizer.load(BUNDLED, device="cpu", dtype=dtype).recognize(speeches)
        for dtype in ("float32", "bfloat16")
    )
    apart = [
        np.abs(np.subtract(a.probabilities, b.probabilities)).max() for a, b in zip(exact, short, strict=True)
    ]
    assert 0.0 < max(apart) < 0.03


@needs_data
def test_bfloat16_changes_the_label_of_one_clip_in_a_hundred_at_most() -> None:
    """RAVDESS test speakers, audio only."""
    rows = manifest(corpus="ravdess", split="test")
    speeches = [EmotionInput(Clip(recording(str((DATA / row["path"]).relative_to(DATA))))) for row in rows]
    exact, short = (
        EmotionRecognizer.load(BUNDLED, device="cpu", dtype=dtype).recognize(speeches)
        for dtype in ("float32", "bfloat16")
    )
    assert len(speeches) >= 100
    changed = sum(a.label != b.label for a, b in zip(exact, short, strict=True))
    assert changed <= 0.01 * len(speeches)
