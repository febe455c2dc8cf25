"""MINE estimates the mutual information of Gaussian embeddings, which is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emostream.training.losses.contrastive import ContrastiveLoss
from emostream.training.losses.discriminator import DiscriminatorSize


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_mine_estimates_the_information_of_gaussian_embeddings(rho: float) -> None:
    """Two dimensions of correlation rho have -log(1 - rho²) nats. Each row is its own emotion: P is i = j."""
    torch.manual_seed(0)
    width, lifts = 32, torch.randn(2, 2, 32)  # the information is the same after a one-to-one map
    objective = ContrastiveLoss("mine", DiscriminatorSize(width, width, hidden=width), "mlp")
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)

    def bound(rows: int) -> Tensor:
        x = torch.randn(rows, 2)
        y = rho * x + math.sqrt(1.0 - rho**2) * torch.randn(rows, 2)
        own = torch.arange(rows)
        value: Tensor = -objective(x @ lifts[0], y @ lifts[1], own, own)
        return value

    for _ in range(300):
        optimizer.zero_grad()
        (-bound(64)).backward()
        optimizer.step()
    objective.eval()
    with torch.no_grad():
        estimate = torch.stack([bound(512) for _ in range(20)]).mean().item()
    assert estimate == pytest.approx(-math.log(1.0 - rho**2), rel=0.1, abs=0.02)
