"""Folds by speaker and the choice of the regularization, against scikit-learn used on its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from emostream.training.corpora.example import CorpusError, Example
from emostream.training.probe.crossvalidation import PENALTIES, ProbeData, fit_probe, outer_folds

LABELS = ("angry", "happy", "sad")


def example(number: int, speaker: str, label: str, corpus: str = "one", group: str = "") -> Example:
    return Example(
        corpus=corpus,
        key=f"{corpus}/{number}",
        emotion=label,
        emotion_orig=label,
        path=Path(f"{number}.wav"),
        speaker=speaker,
        group=group,
    )


def data(
    speakers: int = 8, clips: int = 12, width: int = 20, *, signal: float = 1.0, seed: int = 0
) -> ProbeData:
    """A direction for each label, an offset for each speaker, and noise."""
    rng = np.random.default_rng(seed)
    directions, offsets = rng.standard_normal((3, width)), rng.standard_normal((speakers, width))
    examples: list[Example] = []
    rows, truth = [], []
    for speaker in range(speakers):
        for clip in range(clips):
            label = clip % 3
            examples.append(example(len(examples), f"s{speaker}", LABELS[label]))
            rows.append(signal * directions[label] + offsets[speaker] + rng.standard_normal(width))
            truth.append(label)
    return ProbeData(examples, np.array(rows, np.float32), np.array(truth), LABELS)


def test_no_speaker_is_on_both_sides_of_a_fold_and_every_clip_is_tested_once() -> None:
    probed = data()
    folds = outer_folds(probed)
    speakers = np.array(probed.groups)
    tested = np.concatenate([rows for _, rows in folds])
    assert sorted(tested.tolist()) == list(range(len(probed.truth)))
    assert len(folds) == 5
    for _, rows in folds:
        rest = np.setdiff1d(np.arange(len(speakers)), rows)
        assert not set(speakers[rows]) & set(speakers[rest])


def test_a_corpus_s_own_groups_are_its_folds_unless_they_share_speakers() -> None:
    probed = data(speakers=4)
    for groups, expected in (("aabb", ["a", "b"]), (None, ["1", "2", "3", "4"])):
        named = [
            example(
                number,
                each.speaker,
                each.emotion,
                group=groups[int(each.speaker[1])] if groups else "ab"[number % 2],
            )
            for number, each in enumerate(probed.examples)
        ]
        folds = outer_folds(ProbeData(named, probed.features, probed.truth, LABELS))
        assert [name for name, _ in folds] == expected


@pytest.mark.parametrize("width", [20, 200])
def test_a_fit_gives_what_scikit_learn_gives_with_the_same_penalty(width: int) -> None:
    """More dimensions than clips as well, where the data are rotated first."""
    probed = data(speakers=6, width=width, signal=0.5)
    fitted = fit_probe(probed)
    weights = np.array([1 / 3 / np.sum(probed.truth == label) for label in probed.truth])
    mean = np.average(probed.features, axis=0, weights=weights)
    scale = np.sqrt(np.average((probed.features - mean) ** 2, axis=0, weights=weights)) + 1e-3
    theirs = LogisticRegression(C=1 / fitted.penalty, max_iter=5000, tol=1e-8)
    theirs.fit((probed.features - mean) / scale, probed.truth, sample_weight=weights)
    new = data(speakers=3, width=width, signal=0.5, seed=5).features
    logits = fitted.logits(new)
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(ours, theirs.predict_proba((new - mean) / scale), atol=0.02)


def test_the_penalty_is_that_of_the_best_recall_on_speakers_who_were_not_trained_on() -> None:
    """Recomputed with scikit-learn over the same inner folds, which are those of three-fold division."""
    probed = data(speakers=9, width=60, signal=0.35, seed=3)
    chosen = fit_probe(probed).penalty
    from sklearn.model_selection import StratifiedGroupKFold

    folds = list(
        StratifiedGroupKFold(3, shuffle=True, random_state=0).split(
            probed.features, probed.truth, probed.groups
        )
    )
    scores = {}
    for penalty in PENALTIES:
        predicted = np.zeros_like(probed.truth)
        for train, test in folds:
            mean, scale = probed.features[train].mean(0), probed.features[train].std(0) + 1e-3
            shares = np.full(len(train), 1 / len(train))
            model = LogisticRegression(C=1 / penalty, max_iter=2000)
            model.fit((probed.features[train] - mean) / scale, probed.truth[train], sample_weight=shares)
            predicted[test] = model.predict((probed.features[test] - mean) / scale)
        scores[penalty] = recall_score(probed.truth, predicted, average="macro")
    assert scores[chosen] >= max(scores.values()) - 0.02


@pytest.mark.long
def test_what_only_tells_speakers_apart_gives_chance() -> None:
    """With clips of a speaker on both sides it would be near one: each speaker has one label."""
    rng = np.random.default_rng(0)
    examples: list[Example] = []
    rows, truth = [], []
    for speaker in range(15):
        voice = 5 * rng.standard_normal(30)
        for _ in range(8):
            examples.append(example(len(examples), f"s{speaker}", LABELS[speaker % 3]))
            rows.append(voice + 0.1 * rng.standard_normal(30))
            truth.append(speaker % 3)
    probed = ProbeData(examples, np.array(rows, np.float32), np.array(truth), LABELS)
    right = []
    for _, held_out in outer_folds(probed):
        rest = np.setdiff1d(np.arange(len(truth)), held_out)
        fitted = fit_probe(probed.part(rest))
        right.append(fitted.logits(probed.features[held_out]).argmax(1) == probed.truth[held_out])
    assert np.concatenate(right).mean() < 0.6


def test_corpora_and_labels_weigh_the_same() -> None:
    examples = [example(number, "a", "angry") for number in range(6)]
    examples += [example(number, "b", "sad") for number in range(6, 8)]
    examples += [example(number, "c", "angry", corpus="two") for number in range(2)]
    truth = np.array([LABELS.index(each.emotion) for each in examples])
    weights = ProbeData(examples, np.zeros((10, 1), np.float32), truth, LABELS).balanced()
    np.testing.assert_allclose(weights, [1 / 24] * 6 + [1 / 8] * 2 + [1 / 4] * 2)


def test_a_speaker_s_mean_is_subtracted_from_his_clips_alone() -> None:
    probed = data(speakers=3)
    centred = probed.speaker_centred()
    for speaker in range(3):
        rows = slice(12 * speaker, 12 * speaker + 12)
        expected = probed.features[rows] - probed.features[rows].mean(0)
        np.testing.assert_allclose(centred.features[rows], expected, atol=1e-5)


def test_one_speaker_alone_is_an_error() -> None:
    with pytest.raises(CorpusError, match="expected two speakers or more, got 1"):
        outer_folds(data(speakers=1))


def test_of_two_speakers_each_is_tested_by_a_probe_of_the_other() -> None:
    probed = data(speakers=2)
    for _, held_out in outer_folds(probed):
        rest = np.setdiff1d(np.arange(len(probed.truth)), held_out)
        assert len(set(probed.part(rest).groups)) == 1
        assert fit_probe(probed.part(rest)).penalty in PENALTIES
