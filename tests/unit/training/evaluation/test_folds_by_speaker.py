"""Folds that divide no speaker."""

from __future__ import annotations

import pytest

from emostream.training.corpora.example import CorpusError
from emostream.training.evaluation.folds_by_speaker import folds_by_speaker


def test_every_row_is_held_out_once_and_no_speaker_is_divided() -> None:
    truth = [number % 4 for number in range(48)]
    groups = [f"s{number // 6}" for number in range(48)]
    folds = folds_by_speaker(truth, groups, 5)
    assert sorted(row for rows in folds for row in rows.tolist()) == list(range(48))
    for rows in folds:
        inside = {groups[row] for row in rows.tolist()}
        assert not inside & {groups[row] for row in range(48) if row not in set(rows.tolist())}


@pytest.mark.parametrize(
    "truth", [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 2, 2, 3, 3]]
)
def test_few_clips_of_a_label_are_divided_as_far_as_they_go(truth: list[int]) -> None:
    folds = folds_by_speaker(truth, [str(number) for number in range(8)], 5)
    assert len(folds) >= 2
    assert sorted(row for rows in folds for row in rows.tolist()) == list(range(8))


def test_one_speaker_and_one_clip_of_each_label_are_errors() -> None:
    with pytest.raises(CorpusError, match="expected two speakers or more, got 1"):
        folds_by_speaker([0, 1], ["a", "a"], 5)
    with pytest.raises(CorpusError, match="expected two clips or more of a label"):
        folds_by_speaker([0, 1], ["a", "b"], 5)
