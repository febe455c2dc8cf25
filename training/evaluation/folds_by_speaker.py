"""Folds that divide no speaker and spread the labels evenly."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from ..corpora.example import CorpusError


def folds_by_speaker(truth: Sequence[int], groups: Sequence[str], most: int) -> list[npt.NDArray[np.int64]]:
    """Held-out rows of each fold, at most `most`. groups: what is not divided, a speaker or a clip. Raises
    CorpusError for a single group.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise CorpusError(
            f"expected two speakers or more, got {len(names)}: add clips of others, or leave the speaker's "
            "name out to divide clips"
        )
    frequent = int(np.unique(np.asarray(truth), return_counts=True)[1].max())
    if frequent < 2:
        raise CorpusError("expected two clips or more of a label, got one of each: add clips")
    splitter = StratifiedGroupKFold(min(most, len(names), frequent), shuffle=True, random_state=0)
    numbers = np.searchsorted(names, list(groups))
    with warnings.catch_warnings():
        # Of a label with fewer clips than folds: it is missing in some of them, as it has to be.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = [rows for _, rows in splitter.split(np.zeros((len(truth), 1)), truth, numbers)]
    return [np.asarray(rows) for rows in parts if len(rows)]
