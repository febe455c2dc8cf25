"""Agreement of two sets of labels, compared with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from emostream.streamer.comparison.agreement import agreement
from emostream.streamer.comparison.labels import Label

NAMES = ["angry", "happy", "sad", "neutral", "bored"]


def random_pairs(seed: int, recordings: int = 20) -> list[tuple[Label, Label]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(200):
        recording, truth = f"{rng.integers(recordings)}.wav", NAMES[rng.integers(5)]
        guess = truth if rng.random() < 0.6 else NAMES[rng.integers(4)]
        pairs.append((Label(recording, guess), Label(recording, truth)))
    return pairs


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_scikit_learn(seed: int) -> None:
    pairs = random_pairs(seed)
    guesses, truths = ([label.label for label in labels] for labels in zip(*pairs, strict=True))
    found = agreement(pairs)
    assert found.labels == NAMES  # this project's first
    assert found.share.value == accuracy_score(truths, guesses)
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(cohen_kappa_score(truths, guesses))
    assert found.balanced.value == pytest.approx(balanced_accuracy_score(truths, guesses))
    assert found.confusion.tolist() == confusion_matrix(truths, guesses, labels=NAMES).tolist()
    expected = precision_recall_fscore_support(truths, guesses, labels=NAMES, zero_division=0)
    for number, each in enumerate(found.classes):
        scores = [score or 0.0 for score in (each.precision, each.recall, each.f1)]
        assert scores == pytest.approx([column[number] for column in expected[:3]])
        assert each.second == expected[3][number]


def test_an_interval_is_over_recordings_and_holds_the_value() -> None:
    found = agreement(random_pairs(0)).share
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    # Every utterance of a recording alike: as many independent ones as there are recordings.
    alike = [
        (Label(f"{n}.wav", "sad"), Label(f"{n}.wav", "sad" if n % 2 else "angry"))
        for n in range(10)
        for _ in range(100)
    ]
    found = agreement(alike).share
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.4


def test_one_recording_has_no_interval() -> None:
    found = agreement([(Label("a.wav", "sad"), Label("a.wav", "sad"))])
    assert (found.share.value, found.share.low, found.share.high) == (1.0, None, None)
    assert found.kappa is None  # by chance it would be the same


def test_the_same_in_every_run() -> None:
    assert agreement(random_pairs(1)).share == agreement(random_pairs(1)).share
