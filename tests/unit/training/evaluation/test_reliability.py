"""What a probability is worth, what a text changes, and judgements kept beside the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emostream.models import Prediction
from emostream.training.corpora.example import Example
from emostream.training.evaluation.corruptions import harms
from emostream.training.evaluation.crossvalidation import (
    FILE,
    MATCHED,
    OWN_WORDS,
    SOUND,
    TEXT_ALONE,
    fold_gains,
    fold_table,
    pooled_rows,
    read_folds,
    write_folds,
)
from emostream.training.evaluation.metrics import calibration_error
from emostream.training.evaluation.predictions import FoldPredictions, PredictionsError
from emostream.training.evaluation.reliability import ece_if_calibrated, trust
from emostream.training.evaluation.text_conflict import PairedTexts, conflicts
from tests.support.tiny_emotion import noise

LABELS = ("angry", "happy", "sad", "neutral")


def shares(count: int, seed: int = 0, sharp: float = 3.0) -> np.ndarray:
    logits = sharp * np.random.default_rng(seed).standard_normal((count, 4))
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(1, keepdims=True))


def drawn(probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(4, p=row) for row in probabilities])


def test_a_calibrated_model_shows_no_more_than_chance() -> None:
    probabilities = shares(4000)
    found = trust(drawn(probabilities), probabilities)
    assert abs(found.excess) < 0.01
    assert found.calibration_error > 0


def test_an_overconfident_model_shows_more() -> None:
    honest = shares(4000, sharp=1.0)
    boastful = honest**3 / (honest**3).sum(1, keepdims=True)
    assert trust(drawn(honest), boastful).excess > 0.1


def test_chance_is_the_mean_over_truths_that_were_drawn_from_the_model() -> None:
    probabilities = shares(200)
    each = [
        calibration_error(drawn(probabilities, seed), probabilities, binning="equal mass")
        for seed in range(300)
    ]
    assert ece_if_calibrated(probabilities) == pytest.approx(np.mean(each), abs=0.004)


def test_the_most_certain_are_judged_by_themselves() -> None:
    """Three certain clips are right, the least certain fourth is wrong."""
    probabilities = np.array(
        [[0.9, 0.1, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0], [0.95, 0.05, 0.0, 0.0], [0.4, 0.6, 0.0, 0.0]]
    )
    found = trust(np.array([0, 1, 0, 0]), probabilities)
    assert found.selective_ua == 1.0
    assert found.selective_gain == pytest.approx(1.0 - (2 / 3 + 1.0) / 2)


def predicted(label: str, audio: float) -> Prediction:
    rest = (1.0 - audio) / 3
    alone = (audio, rest, rest, rest)
    return Prediction(label, 0.5, (0.25, 0.25, 0.25, 0.25), alone, None)


def test_a_label_that_no_certain_clip_has_is_recalled_by_nothing() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = trust(np.array([0, 0, 0, 1]), probabilities)
    assert (found.selective_ua, found.selective_gain) == (0.5, -0.5)


def test_conflicts_count_changes_among_the_unsure_and_the_sure() -> None:
    matched = [
        predicted("angry", 0.5),
        predicted("sad", 0.5),
        predicted("happy", 0.95),
        predicted("sad", 0.7),
    ]
    against = [
        predicted("happy", 0.5),
        predicted("sad", 0.5),
        predicted("happy", 0.95),
        predicted("angry", 0.7),
    ]
    found = conflicts(matched, against)
    assert (found.unsure, found.low_confidence_pairs) == (0.5, 2)
    assert (found.sure, found.high_confidence_pairs) == (0.0, 1)
    assert conflicts(matched[:1], against[:1]).sure is None


def test_a_text_is_drawn_by_clip_and_label_alone() -> None:
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


def test_harms_do_what_their_names_say() -> None:
    by_name = {harm.name: harm.apply for harm in harms()}
    clip = 0.1 * noise(16_000)
    rng = np.random.default_rng(0)
    assert by_name["as recorded"](clip, rng) is clip
    for snr in (20, 0):
        added = by_name[f"noise, SNR {snr} dB"](clip, rng) - clip
        assert 10 * np.log10((clip**2).mean() / (added**2).mean()) == pytest.approx(snr, abs=0.5)
    quiet = by_name["peak at -35 dBFS"](clip, rng)
    assert 20 * np.log10(np.abs(quiet).max()) == pytest.approx(-35.0, abs=0.1)
    longer = by_name["0.6 s of near silence at both ends"](clip, rng)
    assert len(longer) == len(clip) + 2 * 9600
    assert np.abs(longer[:9600]).max() < 1e-3
    shorter = by_name["speech cut by 0.1 s at both ends"](clip, rng)
    assert len(shorter) == len(clip) - 2 * 1600


def result(fold: str, seed: int, speakers: int = 3, row: str = SOUND) -> FoldPredictions:
    probabilities = shares(12 * speakers, seed=seed + 10 * int(fold))
    names = [f"f{fold}s{number}" for number in range(speakers) for _ in range(12)]
    return FoldPredictions(
        row=row,
        fold=fold,
        seed=seed,
        labels=LABELS,
        keys=tuple(f"{fold}/{n}.wav" for n in range(len(names))),
        speakers=tuple(names),
        truth=drawn(shares(12 * speakers, seed=int(fold))),
        probabilities=probabilities,
        codes=None,
        validation_ua=0.5,
        epochs=1,
        seconds=0.0,
    )


def test_judgements_come_back_as_they_were_kept(tmp_path: Path) -> None:
    results = [result(fold, seed) for seed in (1, 2) for fold in "12"]
    write_folds(tmp_path, results)
    kept = read_folds(tmp_path)
    assert [(one.row, one.fold, one.seed, one.keys) for one in kept] == [
        (one.row, one.fold, one.seed, one.keys) for one in results
    ]
    for before, after in zip(results, kept, strict=True):
        assert (before.truth == after.truth).all()
        np.testing.assert_allclose(after.probabilities, before.probabilities, rtol=1e-3)
        assert (before.guesses == after.guesses).all()


def test_rounding_leaves_probabilities_that_sum_to_1(tmp_path: Path) -> None:
    """Four digits would round three shares down by half a step each, and the file could not be read."""
    one = result("1", 1)
    one.probabilities[0] = [0.300049, 0.300049, 0.300049, 0.099853]
    write_folds(tmp_path, [one])
    (kept,) = read_folds(tmp_path)
    np.testing.assert_allclose(kept.probabilities[0], one.probabilities[0], atol=1e-5)


def test_folds_are_pooled_by_seed() -> None:
    results = [result(fold, seed) for seed in (1, 2) for fold in "12"]
    (row,) = pooled_rows(results)
    assert [metrics.count for metrics in row.metrics] == [72, 72]
    assert row.ua.value == pytest.approx(np.mean([metrics.ua for metrics in row.metrics]))
    assert row.ua.interval.holds(row.ua.value)
    assert "| six folds | 72 | 2 |" in fold_table(results)
    assert fold_table([]) == ""


def right(one: FoldPredictions, row: str, share: float) -> FoldPredictions:
    """The same clips in another row, the first `share` of each label judged rightly, the rest wrongly."""
    guesses = (one.truth + 1) % len(LABELS)
    for label in range(len(LABELS)):
        places = np.flatnonzero(one.truth == label)
        hits = places[: round(share * len(places))]
        guesses[hits] = label
    probabilities = np.full((len(guesses), len(LABELS)), 0.1)
    probabilities[np.arange(len(guesses)), guesses] = 0.7
    return replace(one, row=row, probabilities=probabilities)


def test_gains_are_over_the_same_clips_and_the_better_of_the_two() -> None:
    clips = [
        replace(result(fold, 1), truth=np.arange(36) % len(LABELS), probabilities=shares(36, seed=1))
        for fold in "12"
    ]
    sound = [right(one, SOUND, 2 / 3) for one in clips]
    other_seed = [replace(right(one, SOUND, 0.0), seed=2) for one in clips]
    own = [right(one, OWN_WORDS, 5 / 9) for one in clips]
    assert fold_gains(sound) == ""
    told = fold_gains([*sound, *other_seed, *own])
    assert "its own words: -11.1 [" in told
    assert "inflated" not in told
    matched = [right(one, MATCHED, 7 / 9) for one in clips]
    for alone, gain in ((1 / 3, "+11.1"), (8 / 9, "-11.1")):
        text = [right(one, TEXT_ALONE, alone) for one in clips]
        told = fold_gains([*sound, *matched, *text])
        assert f"same label (**inflated**): {gain} [" in told


def test_a_checkpoint_without_judgements_has_none(tmp_path: Path) -> None:
    assert read_folds(tmp_path) == []


HEAD = "row,fold,seed,key,speaker,truth,angry,sad\n"
DAMAGES = {
    "empty": "",
    "other columns": "row,fold\n",
    "a short line": f"{HEAD}x,1,1\n",
    "no number": f"{HEAD}x,1,one,k,s,sad,0.5,0.5\n",
    "an unknown label": f"{HEAD}x,1,1,k,s,glad,0.5,0.5\n",
    "no probabilities": f"{HEAD}x,1,1,k,s,sad,0.5,0.7\n",
    "other clips in another seed": f"{HEAD}x,1,1,k,s,sad,0.5,0.5\nx,1,2,l,s,sad,0.5,0.5\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_of_judgements_is_named(damage: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(PredictionsError, match=f"{FILE}: expected the judgements of a cross-validation, got"):
        read_folds(tmp_path)
