"""A linear probe to compare the head with: logistic regression on mean and deviation of the frozen states.

Beside a head of any depth stands the question what a plain classifier makes of the same states. It gets the
same clips, targets, weights, baselines and choices; there is no attention, no dropout and no early stopping.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from ..evaluation.calibrate import fit_temperature
from ..probe.linear import Floats, Linear, Logits, Standardisation, fit_softmax
from ..probe.pooling import pooled_statistics
from .clips import NOISE, SpeechClip, balanced_weights, by_speaker
from .folds import RecipeContext
from .held_out import HeldOut
from .streams import KnownVoice, random_baseline

PENALTY: Final = 0.01
"""Of the squared weights, per example."""


class Probes:
    """Fits probes without some corpora. The features of all clips are computed once."""

    def __init__(self, context: RecipeContext) -> None:
        self._context = context
        self._rows = {clip.key: row for row, clip in enumerate(context.clips)}
        self._features = np.stack([_features(context, clip) for clip in context.clips])

    def without(self, corpora: Collection[str]) -> Probe:
        """Trained on the train and test speakers of all other corpora, calibrated on their validation
        speakers, as `folds.fit_without`.
        """
        settings = self._context.settings
        others = [clip for clip in self._context.clips if clip.corpus not in {*corpora, NOISE}]
        train = [clip for clip in others if clip.split != "dev"]
        rng = np.random.default_rng(settings.seed)
        weights = balanced_weights(train, settings.data.ordinary, settings.data.clips_per_speaker, rng)
        counted = weights > 0
        raw = self._of(train)
        standardisation = Standardisation.of(raw, weights)
        x = standardisation(raw)
        shifts = np.zeros_like(x)
        speakers = by_speaker(train)
        for row in np.flatnonzero(counted).tolist():
            rows = speakers[train[row].speaker]
            drawn = random_baseline(rows, x, settings.baseline.prior_count, 0.0, rng)
            assert drawn is not None
            shifts[row] = drawn[0]
        targets = np.array([clip.target for clip in train], np.float32)[counted]
        cold = fit_softmax(x[counted], targets, weights[counted], PENALTY)
        adapted = fit_softmax((x - shifts)[counted], targets, weights[counted], PENALTY)
        probe = Probe(self, standardisation, cold, adapted, 1.0)
        validation = [clip for clip in others if clip.split == "dev" and clip.label >= 0]
        logits = torch.from_numpy(probe.score(validation).logits(range(len(validation))))
        temperature = fit_temperature(logits, torch.tensor([clip.label for clip in validation]))
        return Probe(self, standardisation, cold, adapted, temperature)

    def _of(self, clips: Sequence[SpeechClip]) -> Floats:
        return self._features[[self._rows[clip.key] for clip in clips]]

    def standardised(self, clips: Sequence[SpeechClip], standardisation: Standardisation) -> Floats:
        """(N, D) features in deviations from the mean of some training data."""
        return standardisation(self._of(clips))


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """cold: for unknown speakers; adapted: for known ones, mixed in as far as a speaker is known, like the
    model's heads.
    """

    probes: Probes
    standardisation: Standardisation
    cold: Linear
    adapted: Linear
    temperature: float

    def score(self, clips: Sequence[SpeechClip]) -> ProbedClips:
        return ProbedClips(self, self.probes.standardised(clips, self.standardisation))

    def held_out(self, clips: Sequence[SpeechClip]) -> HeldOut:
        return HeldOut(self.score(clips), clips, self.temperature)


class ProbedClips:
    """Clips to be judged by a probe. voices: (N, D), here the features themselves."""

    def __init__(self, probe: Probe, voices: Floats) -> None:
        self._probe = probe
        self.voices = voices

    def logits(self, rows: Iterable[int], baselines: Sequence[KnownVoice | None] | None = None) -> Logits:
        """(M, C), as `ProjectedClips.logits`."""
        x = self.voices[list(rows)]
        cold = self._probe.cold(x)
        if baselines is None:
            return cold
        shifts = np.stack([np.zeros_like(x[0]) if one is None else one[0] for one in baselines])
        known = np.array([0.0 if one is None else one[1] for one in baselines])[:, None]
        shifted = x - shifts
        result: Logits = (1 - known) * self._probe.cold(shifted) + known * self._probe.adapted(shifted)
        return result


def _features(context: RecipeContext, clip: SpeechClip) -> Floats:
    """(2 L H) mean and log deviation over time of each chosen layer."""
    states = context.views.states(clip, 0).float()  # (L, T, H)
    return pooled_statistics(states, torch.from_numpy(context.views.mean(clip, 0)))
