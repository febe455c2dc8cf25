"""Multinomial logistic regression on standardised features, by L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_STEPS: Final = 50
_CLIP: Final = 8.0
"""Deviations from the mean at which a feature is cut off."""

Floats = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float64]
Logits = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Standardisation:
    """mean, scale: (D,) of the training features."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, features: Floats, weights: Weights) -> Standardisation:
        """features: (N, D); weights: (N,)."""
        mean: Floats = np.average(features, axis=0, weights=weights).astype(np.float32)
        variance = np.average((features - mean) ** 2, axis=0, weights=weights)
        return cls(mean, (np.sqrt(variance) + 1e-3).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """(N, D) in deviations from the mean, outliers cut off."""
        standardised: Floats = ((features - self.mean) / self.scale).astype(np.float32)
        return standardised.clip(-_CLIP, _CLIP)


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """weight: (D, C); bias: (C,)."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Logits:
        """(N, D) -> (N, C)."""
        result: Logits = (x @ self.weight + self.bias).astype(np.float64)
        return result


def fit_softmax(x: Floats, targets: Floats, weights: Weights, penalty: float) -> Linear:
    """x: (N, D); targets: (N, C) shares to be learned; weights: (N,) of the examples.

    penalty: of half the sum of the squared weights, beside the weighted mean of the losses (that is 1 / C in
    scikit-learn, whose loss is a sum, where the weights sum to 1).
    """
    data, wanted = torch.from_numpy(x), torch.from_numpy(targets)
    share = torch.from_numpy((weights / weights.sum()).astype(np.float32))
    weight = torch.zeros(x.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        likelihood = (wanted * (data @ weight + bias).log_softmax(1)).sum(1)
        loss: Tensor = -(share * likelihood).sum() + 0.5 * penalty * (weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return Linear(weight.detach().numpy(), bias.detach().numpy())
