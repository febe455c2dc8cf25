"""MINE: the Donsker-Varadhan bound over pairs of one emotion and all pairs."""

from __future__ import annotations

import math
from typing import Final

import pytest
import torch
from torch import Tensor

from emostream.training.losses.mine import MINELoss

AUDIO: Final = torch.tensor([0, 1, 1, 0, 2])
TEXT: Final = torch.tensor([1, 0, 0, 3])


def random_scores(seed: int, spread: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(len(AUDIO), len(TEXT), generator=generator, dtype=torch.float64)


def clipped(score: float) -> float:
    return 10.0 * math.tanh(score / 10.0)


def marginal(scores: Tensor) -> float:
    """Mean of e^s over all pairs."""
    return math.fsum(math.exp(clipped(s)) for s in scores.flatten().tolist()) / scores.numel()


def test_the_value_is_the_bound_over_labelled_pairs() -> None:
    scores = random_scores(0)
    same = [
        clipped(scores[i, j].item())
        for i, audio_label in enumerate(AUDIO)
        for j, text_label in enumerate(TEXT)
        if audio_label == text_label
    ]
    bound = math.fsum(same) / len(same) - math.log(marginal(scores))
    loss = MINELoss().double()
    for _ in range(2):  # the moving average is used in the gradient alone
        assert loss(scores, AUDIO, TEXT).item() == pytest.approx(-bound, abs=1e-9)
        loss(random_scores(1), AUDIO, TEXT)


def test_the_gradient_divides_by_the_moving_average() -> None:
    loss, rate = MINELoss(rate=0.25).double(), 0.25
    first, second = random_scores(1), random_scores(2).requires_grad_()
    loss(first, AUDIO, TEXT)
    loss(second, AUDIO, TEXT).backward()
    average = (1 - rate) * marginal(first) + rate * marginal(second.detach())
    assert loss.average.item() == pytest.approx(average, rel=1e-9)
    pairs = int((AUDIO[:, None] == TEXT[None]).sum())
    expected = torch.zeros_like(first)
    for i, audio_label in enumerate(AUDIO):
        for j, text_label in enumerate(TEXT):
            s = clipped(second[i, j].item())
            slope = 1.0 - (s / 10.0) ** 2
            same = int(audio_label == text_label)
            expected[i, j] = slope * (math.exp(s) / (second.numel() * average) - same / pairs)
    torch.testing.assert_close(second.grad, expected, rtol=0, atol=1e-9)


def test_before_any_other_batch_the_gradient_is_that_of_the_value() -> None:
    loss = MINELoss().double().eval()
    scores = random_scores(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, AUDIO, TEXT), scores)


def test_the_average_is_saved_and_moves_in_training_only() -> None:
    loss = MINELoss().double()
    loss(random_scores(0), AUDIO, TEXT)
    saved = loss.average.item()
    assert saved == pytest.approx(marginal(random_scores(0)), rel=1e-9)
    resumed = MINELoss().double()
    resumed.load_state_dict(loss.state_dict())
    resumed.eval()(random_scores(1), AUDIO, TEXT)
    assert resumed.average.item() == saved
    resumed.train()(random_scores(1), AUDIO, TEXT)
    assert resumed.average.item() == pytest.approx(0.9 * saved + 0.1 * marginal(random_scores(1)), rel=1e-9)


def test_large_scores_keep_a_gradient() -> None:
    scores = torch.full((2, 2), 1e4, requires_grad=True)
    labels = torch.tensor([0, 1])
    assert MINELoss()(scores, labels, labels).item() == pytest.approx(0.0, abs=1e-5)
    large = torch.tensor([[-30.0, 30.0], [30.0, -30.0]], requires_grad=True)  # all of them wrong
    MINELoss()(large, labels, labels).backward()
    assert large.grad is not None
    step = -large.grad
    assert (step.diag() > 1e-4).all()
    assert (step.flip(1).diag() < -1e-4).all()


def test_a_batch_without_a_common_emotion_gives_zero() -> None:
    loss = MINELoss()
    scores = torch.randn(2, 2, requires_grad=True)
    value = loss(scores, torch.tensor([0, 1]), torch.tensor([2, 3]))
    value.backward()
    assert value.item() == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()
    assert loss.average.item() == 0.0


@pytest.mark.parametrize("labels", [[0, 1] * 4, [0, 0, 0, 1, 2, 2, 3, 3], [0] * 8])
def test_free_scores_reach_the_information_of_the_batch(labels: list[int]) -> None:
    """P against all pairs is a divergence of log(B² / |P|): the bound's ceiling, reached and never passed."""
    emotions = torch.tensor(labels)
    ceiling = math.log(len(labels) ** 2 / int((emotions[:, None] == emotions[None]).sum()))
    loss = MINELoss(rate=1.0)
    scores = torch.zeros(8, 8, requires_grad=True)
    ascent = torch.optim.Adam([scores], lr=0.5)
    for _ in range(100):
        value = loss(scores, emotions, emotions)
        assert -value.item() <= ceiling + 1e-5
        ascent.zero_grad()
        value.backward()
        ascent.step()
    assert -value.item() == pytest.approx(ceiling, abs=0.01)


def test_with_different_emotions_alone_it_would_diverge() -> None:
    """Two balanced emotions hold log 2; the usual recipe of shuffled negatives reports up to 20 nats."""
    labels = torch.tensor([0, 1] * 4)
    same = labels[:, None] == labels[None]
    for certainty in (1.0, 5.0, 50.0):
        scores = certainty * (2.0 * same - 1.0)
        s = 10.0 * torch.tanh(scores / 10.0)
        different_only = s[same].mean() - s[~same].exp().mean().log()
        assert different_only.item() == pytest.approx(2.0 * clipped(certainty), abs=1e-4)
        assert -MINELoss()(scores, labels, labels).item() <= math.log(2.0) + 1e-6
    assert different_only.item() > 19.0
