"""How strongly the weights are pulled back is chosen on speakers who were not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from ..corpora.example import CorpusError
from ..evaluation.calibrate import fit_temperature
from ..evaluation.folds_by_speaker import folds_by_speaker
from .clips import FrozenClip
from .fine_tuning import DecidedLogits, FineTuning

STRENGTHS: Final = (math.inf, 3.0, 1.0, 0.3)
"""Candidates, descending; infinity leaves the weights as they are."""
FOLDS: Final = 5
INNER_FOLDS: Final = 3

Logits = npt.NDArray[np.float64]


def divide(clips: Sequence[FrozenClip], most: int) -> list[npt.NDArray[np.int64]]:
    """Held-out rows of each fold, by speaker; by clip where there is one speaker or none is known."""
    speakers = [clip.example.speaker for clip in clips]
    groups = speakers if len(set(speakers)) > 1 and all(speakers) else [clip.example.key for clip in clips]
    return folds_by_speaker([clip.label for clip in clips], groups, most)


def held_out_by_strength(
    tuning: FineTuning, clips: Sequence[FrozenClip], most: int
) -> dict[float, DecidedLogits]:
    """Of every candidate, from fits without the clip's fold. Raises CorpusError for too few clips."""
    labels = len(tuning.label_names)
    found = {strength: DecidedLogits.zeros(len(clips), labels) for strength in STRENGTHS}
    for rows in divide(clips, most):
        held_out = set(rows.tolist())
        train = [clip for row, clip in enumerate(clips) if row not in held_out]
        if len({clip.label for clip in train}) < 2:
            raise CorpusError(
                f"expected clips of two labels or more in every part of {len(clips)} clips, got "
                "one: add clips"
            )
        tested = [clips[row] for row in rows.tolist()]
        for strength, weights in zip(STRENGTHS, tuning.fit(train, STRENGTHS), strict=True):
            found[strength].put(rows, tuning.decide(tested, weights))
    return found


def choose_strength(found: dict[float, DecidedLogits], truth: Sequence[int]) -> float:
    """The largest that is within one standard error of the best, in mean negative log-likelihood, labels
    counting equally and each candidate with its own temperature.

    The standard error is that of the difference, clip by clip (the one-standard-error rule of Breiman et al.,
    Classification and Regression Trees, 1984): a change by chance changes nothing.
    """
    labels = np.asarray(truth)
    share = 1.0 / np.bincount(labels)[labels]
    share /= share.sum()
    losses = {strength: _losses(each.alone, labels) for strength, each in found.items()}
    best = min(losses, key=lambda strength: float(share @ losses[strength]))
    for strength in STRENGTHS:
        more = losses[strength] - losses[best]
        mean = float(share @ more)
        error = math.sqrt(float((share**2) @ (more - mean) ** 2))
        if mean <= error:
            return strength
    return best


def _losses(logits: Logits, truth: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(N,) negative log-likelihoods at the temperature that fits these best."""
    values, labels = torch.from_numpy(logits), torch.from_numpy(truth)
    scaled = values / fit_temperature(values, labels)
    return np.asarray(torch.nn.functional.cross_entropy(scaled, labels, reduction="none").numpy())


def nested_logits(tuning: FineTuning, clips: Sequence[FrozenClip]) -> DecidedLogits:
    """Of clips on which nothing was trained or chosen: in every fold the strength is chosen inside of the
    others.
    """
    labels = len(tuning.label_names)
    found = DecidedLogits.zeros(len(clips), labels)
    for rows in divide(clips, FOLDS):
        held_out = set(rows.tolist())
        train = [clip for row, clip in enumerate(clips) if row not in held_out]
        inner = held_out_by_strength(tuning, train, INNER_FOLDS)
        strength = choose_strength(inner, [clip.label for clip in train])
        path = STRENGTHS[: STRENGTHS.index(strength) + 1]
        weights = tuning.fit(train, path)[-1]
        tested = [clips[row] for row in rows.tolist()]
        found.put(rows, tuning.decide(tested, weights))
    return found
