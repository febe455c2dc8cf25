"""Supervised InfoNCE: an anchor has as many positives as the batch holds of its emotion."""

from __future__ import annotations

from torch import Tensor


def info_nce(scores: Tensor, audio_labels: Tensor, text_labels: Tensor) -> Tensor:
    """The mean of both directions of -mean_i mean_{j in P(i)} log( e^s_ij / sum_k e^s_ik ).

    scores: (Ba, Bt). i is an anchor, P(i) what is of its emotion on the other side; anchors without any do
    not count, and a batch without a pair of one emotion gives 0. A direction is never below its mean of
    log |P(i)|, as the best that a softmax can give n positives is 1/n each; uninformative scores give
    the log of the number of candidates.

    van den Oord, Li, Vinyals, arXiv 1807.03748; several positives averaged outside the logarithm, as in
    Khosla et al., arXiv 2004.11362.
    """
    same = audio_labels[:, None] == text_labels[None, :]
    if not bool(same.any()):
        return scores.sum() * 0.0
    return (_one_direction(scores, same) + _one_direction(scores.T, same.T)) / 2


def _one_direction(scores: Tensor, same: Tensor) -> Tensor:
    """Rows are anchors."""
    positives = same.sum(1)
    anchors = positives > 0
    inside = (scores.log_softmax(1) * same).sum(1)
    return -(inside[anchors] / positives[anchors]).mean()
