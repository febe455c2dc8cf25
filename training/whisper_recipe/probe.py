"""A linear probe to compare the head with: logistic regression on mean and deviation of the frozen states.

Beside a head of any depth stands the question what a plain classifier makes of the same states. It gets the
same clips, targets, weights, baselines and choices; there is no attention, no dropout and no early stopping.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..evaluation.calibrate import fit_temperature
from .clips import NOISE, SpeechClip, balanced_weights, by_speaker
from .folds import RecipeContext
from .held_out import HeldOut
from .streams import KnownVoice, random_baseline

PENALTY: Final = 0.01
"""Of the squared weights, per example."""
_STEPS: Final = 50
_CLIP: Final = 8.0
"""Deviations from the mean at which a feature is cut off."""

Floats = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float64]


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
        mean: Floats = np.average(raw, axis=0, weights=weights).astype(np.float32)
        variance = np.average((raw - mean) ** 2, axis=0, weights=weights)
        scale: Floats = (np.sqrt(variance) + 1e-3).astype(np.float32)
        x = _standardised(raw, mean, scale)
        shifts = np.zeros_like(x)
        speakers = by_speaker(train)
        for row in np.flatnonzero(counted).tolist():
            rows = speakers[train[row].speaker]
            drawn = random_baseline(rows, x, settings.baseline.prior_count, 0.0, rng)
            assert drawn is not None
            shifts[row] = drawn[0]
        targets = np.array([clip.target for clip in train], np.float32)[counted]
        cold = fit_softmax(x[counted], targets, weights[counted])
        adapted = fit_softmax((x - shifts)[counted], targets, weights[counted])
        probe = Probe(self, mean, scale, cold, adapted, 1.0)
        validation = [clip for clip in others if clip.split == "dev" and clip.label >= 0]
        logits = torch.from_numpy(probe.score(validation).logits(range(len(validation))))
        temperature = fit_temperature(logits, torch.tensor([clip.label for clip in validation]))
        return Probe(self, mean, scale, cold, adapted, temperature)

    def _of(self, clips: Sequence[SpeechClip]) -> Floats:
        return self._features[[self._rows[clip.key] for clip in clips]]

    def standardised(self, clips: Sequence[SpeechClip], mean: Floats, scale: Floats) -> Floats:
        """(N, D) features in deviations from the mean of some training data."""
        return _standardised(self._of(clips), mean, scale)


@dataclass(frozen=True, slots=True)
class Linear:
    """weight: (D, C); bias: (C,)."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Logits:
        result: Logits = (x @ self.weight + self.bias).astype(np.float64)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """cold: for unknown speakers; adapted: for known ones, mixed in as far as a speaker is known, like the
    model's heads.
    """

    probes: Probes
    mean: Floats
    scale: Floats
    cold: Linear
    adapted: Linear
    temperature: float

    def score(self, clips: Sequence[SpeechClip]) -> ProbedClips:
        return ProbedClips(self, self.probes.standardised(clips, self.mean, self.scale))

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


def fit_softmax(x: Floats, targets: Floats, weights: npt.NDArray[np.float64]) -> Linear:
    """Multinomial logistic regression on soft targets by L-BFGS. x: (N, D); targets: (N, C)."""
    data, wanted = torch.from_numpy(x), torch.from_numpy(targets)
    share = torch.from_numpy((weights / weights.sum()).astype(np.float32))
    weight = torch.zeros(x.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        likelihood = (wanted * (data @ weight + bias).log_softmax(1)).sum(1)
        loss: Tensor = -(share * likelihood).sum() + 0.5 * PENALTY * (weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return Linear(weight.detach().numpy(), bias.detach().numpy())


def _features(context: RecipeContext, clip: SpeechClip) -> Floats:
    """(2 L H) mean and log deviation over time of each chosen layer."""
    states = context.views.states(clip, 0).float()  # (L, T, H)
    deviation = torch.log(states.std(1, correction=0) + 1e-3)
    mean = torch.from_numpy(context.views.mean(clip, 0))
    features: Floats = torch.cat([mean, deviation]).flatten().numpy()
    return features


def _standardised(raw: Floats, mean: Floats, scale: Floats) -> Floats:
    result: Floats = np.clip((raw - mean) / scale, -_CLIP, _CLIP).astype(np.float32)
    return result
