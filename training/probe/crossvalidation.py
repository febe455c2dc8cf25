"""Folds by speaker, and a probe whose regularization is chosen inside each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..corpora.example import CorpusError, Example
from ..evaluation.folds_by_speaker import folds_by_speaker
from ..evaluation.metrics import unweighted_recall
from .linear import Floats, Linear, Logits, Standardisation, Weights, fit_softmax

PENALTIES: Final = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Candidates, the strongest first: of two that are equally good the stronger one is taken."""
FOLDS: Final = 5
INNER_FOLDS: Final = 3

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ProbeData:
    """examples: N, with audio and labels. features: (N, D). truth: (N,) indices into `labels`."""

    examples: Sequence[Example]
    features: Floats
    truth: Rows
    labels: tuple[str, ...]

    def part(self, rows: Rows) -> ProbeData:
        examples = [self.examples[row] for row in rows.tolist()]
        return ProbeData(examples, self.features[rows], self.truth[rows], self.labels)

    @property
    def corpora(self) -> tuple[str, ...]:
        return tuple(sorted({example.corpus for example in self.examples}))

    @property
    def speakers_known(self) -> bool:
        return all(example.speaker for example in self.examples)

    @property
    def groups(self) -> list[str]:
        """What no fold divides: speakers, or clips where speakers are unknown."""
        return [example.speaker or example.key for example in self.examples]

    def of_corpora(self, *, without: str) -> tuple[ProbeData, ProbeData]:
        """All other corpora, and this one."""
        own = np.array([example.corpus == without for example in self.examples])
        return self.part(np.flatnonzero(~own)), self.part(np.flatnonzero(own))

    def balanced(self) -> Weights:
        """(N,) that sum to 1: every corpus as much as every other, and in it every label."""
        cells = [(e.corpus, label) for e, label in zip(self.examples, self.truth.tolist(), strict=True)]
        sizes = {cell: cells.count(cell) for cell in set(cells)}
        labels = {corpus: sum(name == corpus for name, _ in sizes) for corpus, _ in sizes}
        weights = np.array([1 / labels[cell[0]] / sizes[cell] for cell in cells])
        return np.asarray(weights / weights.sum())

    def speaker_centred(self) -> ProbeData:
        """Each clip less its speaker's mean, for which no label is needed but all of his clips are. Raises
        CorpusError where a speaker is unknown.
        """
        if not self.speakers_known:
            raise CorpusError(
                "expected the speaker of every clip to subtract his mean, got none for some: name them"
            )
        features = self.features.copy()
        speakers = np.array(self.groups)
        for speaker in sorted(set(self.groups)):
            rows = speakers == speaker
            features[rows] -= features[rows].mean(0)
        return ProbeData(self.examples, features, self.truth, self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class FittedProbe:
    """penalty: the chosen one; see `linear.fit_softmax`."""

    standardisation: Standardisation
    rotation: Floats | None
    linear: Linear
    penalty: float

    def logits(self, features: Floats) -> Logits:
        """(N, D) -> (N, C)."""
        return self.linear(_rotated(self.standardisation(features), self.rotation))


def outer_folds(data: ProbeData) -> list[tuple[str, Rows]]:
    """Name and test rows of each fold: the corpus's own groups where every clip has one and no speaker is in
    two, otherwise five by speaker with labels spread evenly.
    """
    own = [example.group for example in data.examples]
    members = {(name, group) for name, group in zip(data.groups, own, strict=True)}
    if all(own) and len(set(own)) > 1 and len(members) == len(set(data.groups)):
        return [(name, np.flatnonzero(np.array(own) == name)) for name in sorted(set(own))]
    return [
        (str(number + 1), rows)
        for number, rows in enumerate(folds_by_speaker(data.truth.tolist(), data.groups, FOLDS))
    ]


def fit_probe(data: ProbeData) -> FittedProbe:
    """The penalty of the highest UA over inner folds by speaker, then a fit on everything."""
    # Of one speaker, which is all there is where another one of two is tested, clips are divided.
    groups = data.groups if len(set(data.groups)) > 1 else [example.key for example in data.examples]
    folds = folds_by_speaker(data.truth.tolist(), groups, INNER_FOLDS)
    predicted = np.zeros((len(PENALTIES), len(data.truth)), np.int64)
    everything = np.arange(len(data.truth))
    for held_out in folds:
        part = data.part(np.setdiff1d(everything, held_out))
        for place, probe in enumerate(_fits(part, PENALTIES)):
            predicted[place, held_out] = probe.logits(data.features[held_out]).argmax(1)
    scores = [unweighted_recall(data.truth.tolist(), row.tolist()) for row in predicted]
    best = PENALTIES[int(np.argmax(np.round(scores, 6)))]
    return _fits(data, (best,))[0]


def _fits(data: ProbeData, penalties: Sequence[float]) -> list[FittedProbe]:
    """One for each penalty."""
    weights = data.balanced()
    standardisation = Standardisation.of(data.features, weights)
    x = standardisation(data.features)
    rotation: Floats | None = None
    if len(x) < x.shape[1]:
        # Penalty and loss are the same in any rotation, and the data span no more dimensions than there are
        # clips: the solution is exact, at a fraction of the time.
        rotation = np.linalg.svd(x, full_matrices=False)[2].T.astype(np.float32)
    targets = np.eye(len(data.labels), dtype=np.float32)[data.truth]
    rotated = _rotated(x, rotation)
    return [
        FittedProbe(standardisation, rotation, fit_softmax(rotated, targets, weights, penalty), penalty)
        for penalty in penalties
    ]


def _rotated(x: Floats, rotation: Floats | None) -> Floats:
    return x if rotation is None else np.ascontiguousarray(x @ rotation)
