"""Every ablation that a flag can ask for trains."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch

from emostream.models.emotion import EmotionModel
from emostream.training.emotion.collator import EmotionBatch
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.settings import ContrastiveSettings
from tests.support.ablations import ABLATIONS, batch
from tests.support.tiny_emotion import tiny_config

CONTRAST = ContrastiveSettings(alpha=0.3)

SHIFTS = (".key.bias", ".k_proj.bias", ".score.bias", ".score.2.bias")


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_trains(name: str) -> None:
    """Steps on one batch bring its loss down, with either modality missing in some rows, and every weight
    that the ablation has is one that learns.
    """
    torch.manual_seed(0)
    model = EmotionModel(tiny_config(dropout=0.0, **ABLATIONS[name]))
    objective = EmotionTrainingModule(model, CONTRAST, 0.05).train()
    every = EmotionBatch(*batch(model, range(4)), torch.arange(4), torch.ones(4, dtype=torch.bool))
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    losses = []
    steepest: defaultdict[str, float] = defaultdict(float)  # weights -> largest gradient of all steps
    for _ in range(12):
        loss = objective(every)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        for weight, values in model.named_parameters():
            if values.grad is not None:
                steepest[weight] = max(steepest[weight], values.grad.abs().max().item())
    assert losses[-1] < 0.9 * losses[0]
    idle = {weight for weight, _ in model.named_parameters() if steepest[weight] < 1e-7}
    # Only co-attention uses the absent tokens: the other heads and the contrastive loss skip such rows. In
    # late fusion the loss compares what the heads read, which no projection is part of.
    expected = {"absent_audio", "absent_text"} if model.early is None else set()
    if model.config.fusion == "late":
        parts = ("audio_projection.", "text_projection.")
        expected |= {name for name, _ in model.named_parameters() if name.startswith(parts)}
    assert {weight for weight in idle if not weight.endswith(SHIFTS)} == expected
