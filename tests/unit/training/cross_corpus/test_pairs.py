"""The pairs that fusion is trained on, their soft targets, and simulated recognition errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from emostream.models import LABELS
from emostream.training.augmentation.asr_noise import simulate_asr_errors
from emostream.training.augmentation.confusions import Confusions
from emostream.training.augmentation.settings import TextErrorRates
from emostream.training.corpora.example import Example
from emostream.training.cross_corpus.pairs import PairSampler
from emostream.training.cross_corpus.settings import FusionSettings
from emostream.training.losses.cross_entropy import soft_cross_entropy


def test_soft_cross_entropy_ignores_rows_without_a_target() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.0], [5.0, 5.0, 5.0, 5.0]])
    targets = torch.tensor([[0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    total = sum(math.exp(x) for x in (2.0, 0.0, -1.0, 0.0))
    expected = -(0.5 * (2.0 - math.log(total)) + 0.5 * (-1.0 - math.log(total)))
    assert soft_cross_entropy(logits, targets, 0.0).item() == pytest.approx(expected, abs=1e-5)
    assert soft_cross_entropy(logits, torch.zeros(2, 4), 0.0).item() == 0.0


LINES = [
    Example(
        corpus="c",
        key=f"{label} words here",
        split="train",
        words=f"{label} words here",
        emotion=label,
        emotion_orig=label,
    )
    for label in LABELS
]
CLIP = Example(corpus="c", key="a.flac", speaker="a", emotion="happy", emotion_orig="happy", split="train")


def sampler(**probabilities: Any) -> PairSampler:
    matched = FusionSettings(drop_text=0.0, drop_audio=0.0, neutral_text=0.0, mismatched_text=0.0)
    return PairSampler(LINES, LABELS, ["strange"], replace(matched, **probabilities))


def test_a_pair_shares_its_label() -> None:
    pair = sampler().draw(CLIP, np.random.default_rng(0))
    assert (pair.audio_label, pair.text_label) == (1, 1)
    assert pair.target == (0.0, 1.0, 0.0, 0.0)


def test_neutral_text_does_not_change_the_target() -> None:
    pair = sampler(neutral_text=1.0).draw(CLIP, np.random.default_rng(0))
    assert (pair.audio_label, pair.text_label) == (1, 3)
    assert pair.target == (0.0, 1.0, 0.0, 0.0)


def test_mismatched_text_splits_the_target() -> None:
    pair = sampler(mismatched_text=1.0).draw(CLIP, np.random.default_rng(0))
    assert pair.text_label != 1
    assert sorted(pair.target) == [0.0, 0.0, 0.5, 0.5]


def test_either_modality_may_be_missing() -> None:
    text_only = sampler(drop_audio=1.0).draw(CLIP, np.random.default_rng(0))
    assert text_only.example is None
    assert text_only.audio_label is None
    audio_only = sampler(drop_text=1.0).draw(CLIP, np.random.default_rng(0))
    assert audio_only.text is None
    assert audio_only.text_label is None


def test_kinds_of_pairs_have_their_probabilities() -> None:
    rng = np.random.default_rng(0)
    mixed = sampler(drop_text=0.25, drop_audio=0.1, neutral_text=0.3, mismatched_text=0.1)
    pairs = [mixed.draw(CLIP, rng) for _ in range(4000)]
    assert np.mean([pair.text is None for pair in pairs]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([pair.example is None for pair in pairs]) == pytest.approx(0.1, abs=0.02)
    assert np.mean([pair.text_label == 3 and pair.audio_label == 1 for pair in pairs]) == pytest.approx(
        0.3 + 0.1 / 3, abs=0.03
    )


def test_simulated_errors_keep_most_words_and_depend_on_the_generator_alone() -> None:
    text = "one two three four five six seven eight nine ten"
    confusions, rates = Confusions(["won", "fore", "heaven", "wine"]), TextErrorRates()

    def corrupt(seed: int) -> str:
        return simulate_asr_errors(text, confusions, rates, np.random.default_rng(seed))

    corrupted = [corrupt(seed) for seed in range(200)]
    kept = np.mean([len(set(line.split()) & set(text.split())) / 10 for line in corrupted])
    assert 0.85 < kept < 0.99
    assert corrupted[0] == corrupt(0)
