"""The effect of a contradicting text on the fused label, and the draw of the texts."""

from __future__ import annotations

from emostream.models import Prediction
from emostream.training.corpora.example import Example
from emostream.training.evaluation.text_conflict import PairedTexts, text_conflicts


def prediction(label: str, audio: float) -> Prediction:
    rest = (1.0 - audio) / 3
    audio_only = (audio, rest, rest, rest)
    return Prediction(label, 0.5, (0.25, 0.25, 0.25, 0.25), audio_only, None)


def test_conflicts_count_changes_at_low_and_at_high_confidence() -> None:
    matched = [
        prediction("angry", 0.5),
        prediction("sad", 0.5),
        prediction("happy", 0.95),
        prediction("sad", 0.7),
    ]
    mismatched = [
        prediction("happy", 0.5),
        prediction("sad", 0.5),
        prediction("happy", 0.95),
        prediction("angry", 0.7),
    ]
    conflicts = text_conflicts(matched, mismatched)
    assert (conflicts.low_confidence, conflicts.low_confidence_pairs) == (0.5, 2)
    assert (conflicts.high_confidence, conflicts.high_confidence_pairs) == (0.0, 1)
    assert text_conflicts(matched[:1], mismatched[:1]).high_confidence is None


def test_the_text_for_a_clip_depends_on_clip_and_label_only() -> None:
    names = ["angry", "sad"] * 8
    lines = [
        Example(corpus="meld", key=str(n), emotion=name, emotion_orig=name, words=f"{name} {n}")
        for n, name in enumerate(names)
    ]
    texts = PairedTexts(lines, names)
    assert all(texts.draw(f"{n}.wav", "sad").startswith("sad") for n in range(20))
    assert texts.draw("a.wav", "sad") == texts.draw("a.wav", "sad")
    assert len({texts.draw(f"{n}.wav", "sad") for n in range(20)}) > 3
    assert texts.others("sad") == ["angry"]
