"""Contrastive regularization: are the sound and the words of one emotion?

total = (1 - alpha) CE + alpha L_CR, after Qian and Han, arXiv 2211.10885, in its label-aware BCE form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PairDiscriminator(nn.Module):
    """Scores every (audio code, text code) pair of a batch: s_ij = cos(g_a(a_i), g_t(t_j)) / tau + b."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.audio = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.text = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """audio: (Ba, D), text: (Bt, D) -> (Ba, Bt)."""
        heard = nn.functional.normalize(self.audio(audio), dim=1)
        read = nn.functional.normalize(self.text(text), dim=1)
        scores: Tensor = heard @ read.T * self.log_scale.exp() + self.bias
        return scores


def pair_bce(scores: Tensor, audio_labels: Tensor, text_labels: Tensor) -> Tensor:
    """-mean over pairs of one emotion of log sig(s), -mean over the other pairs of log(1 - sig(s)).

    scores: (Ba, Bt). The labels decide, never the position: a shuffled row is the same emotion once in
    four. A batch that has only one kind of pair gives that kind's term; an empty one gives 0.
    """
    same = audio_labels[:, None] == text_labels[None, :]
    terms = [
        nn.functional.softplus(-scores[same]).mean() if bool(same.any()) else scores.sum() * 0.0,
        nn.functional.softplus(scores[~same]).mean() if bool((~same).any()) else scores.sum() * 0.0,
    ]
    return terms[0] + terms[1]
