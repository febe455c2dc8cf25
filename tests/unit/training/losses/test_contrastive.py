"""Contrastive regularization, compared with loops that follow the formulas. MINE: test_mine.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from emostream.training.errors import SettingsError
from emostream.training.losses.bce import pair_bce
from emostream.training.losses.combined import CombinedLoss
from emostream.training.losses.contrastive import ContrastiveLoss, ContrastiveLossName
from emostream.training.losses.discriminator import (
    CosineDiscriminator,
    DiscriminatorName,
    DiscriminatorSize,
    MLPDiscriminator,
)
from emostream.training.losses.infonce import info_nce

KINDS: tuple[ContrastiveLossName, ...] = get_args(ContrastiveLossName)
DISCRIMINATORS: tuple[DiscriminatorName, ...] = get_args(DiscriminatorName)
SIX = DiscriminatorSize(6, 6, hidden=6)
UNEVEN = DiscriminatorSize(audio=4, text=5, hidden=6)
BATCHES = [
    ([0, 1, 2, 1], [1, 1, 0]),
    ([0, 1, 3], [3, 0, 0, 1, 2]),
    ([0, 0], [0, 0]),
    ([0, 1], [2, 3]),
    ([], [1]),
    ([1], []),
]


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def slow_bce(scores: list[list[float]], audio: list[int], text: list[int]) -> float:
    same, different = [], []
    for i, audio_label in enumerate(audio):
        for j, text_label in enumerate(text):
            if audio_label == text_label:
                same.append(-log_sigmoid(scores[i][j]))
            else:
                different.append(-log_sigmoid(-scores[i][j]))
    return sum(math.fsum(part) / len(part) for part in (same, different) if part)


def slow_direction(scores: list[list[float]], anchors: list[int], others: list[int]) -> float:
    terms = []
    for i, anchor in enumerate(anchors):
        log_sum = math.log(math.fsum(math.exp(s) for s in scores[i])) if scores[i] else 0.0
        inside = [scores[i][j] - log_sum for j, other in enumerate(others) if other == anchor]
        if inside:
            terms.append(-math.fsum(inside) / len(inside))
    return math.fsum(terms) / len(terms) if terms else 0.0


def slow_info_nce(scores: list[list[float]], audio: list[int], text: list[int]) -> float:
    transposed = [[row[j] for row in scores] for j in range(len(text))]
    return (slow_direction(scores, audio, text) + slow_direction(transposed, text, audio)) / 2


@pytest.mark.parametrize(("audio", "text"), BATCHES)
@pytest.mark.parametrize(("loss", "slow"), [(pair_bce, slow_bce), (info_nce, slow_info_nce)])
def test_the_labels_decide_which_pairs_are_positive_not_the_position(
    loss: Callable[..., Tensor], slow: Callable[..., float], audio: list[int], text: list[int]
) -> None:
    torch.manual_seed(1)
    scores = 3.0 * torch.randn(len(audio), len(text), dtype=torch.float64)
    got = loss(scores, torch.tensor(audio, dtype=torch.long), torch.tensor(text, dtype=torch.long))
    assert got.item() == pytest.approx(slow(scores.tolist(), audio, text), abs=1e-9)


def test_info_nce_of_perfect_and_of_uninformative_scores() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    floor = sum(math.log(n) for n in (3, 3, 3, 2, 2, 1)) / 6
    same = (labels[:, None] == labels[None]).double()
    assert info_nce(0.0 * same, labels, labels).item() == pytest.approx(math.log(6))
    assert info_nce(50.0 * same, labels, labels).item() == pytest.approx(floor, abs=1e-9)
    torch.manual_seed(0)
    for _ in range(20):
        assert info_nce(5.0 * torch.randn(6, 6), labels, labels).item() >= floor


def embeddings(audio: list[int], text: list[int], width: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """float64 embeddings with gradients, and their labels."""
    generator = torch.Generator().manual_seed(len(audio))
    sides = [
        torch.randn(len(labels), width, generator=generator, dtype=torch.float64) for labels in (audio, text)
    ]
    return (
        sides[0].requires_grad_(),
        sides[1].requires_grad_(),
        torch.tensor(audio, dtype=torch.long),
        torch.tensor(text, dtype=torch.long),
    )


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right_and_the_order_of_rows_does_not_matter(
    kind: ContrastiveLossName, discriminator: DiscriminatorName
) -> None:
    torch.manual_seed(0)
    objective = ContrastiveLoss(kind, SIX, discriminator).double().eval()
    audio, text, audio_labels, text_labels = embeddings([0, 1, 2, 1, 0], [1, 1, 0, 3])
    assert torch.autograd.gradcheck(lambda a, t: objective(a, t, audio_labels, text_labels), (audio, text))
    i, j = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([2, 3, 1, 0])
    with torch.no_grad():
        value = objective(audio, text, audio_labels, text_labels).item()
        assert objective(audio[i], text[j], audio_labels[i], text_labels[j]).item() == pytest.approx(
            value, abs=1e-12
        )
        assert objective(audio, text[j], audio_labels, text_labels).item() != pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(("audio", "text"), BATCHES)
@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_batch_gives_finite_gradients(
    kind: ContrastiveLossName, discriminator: DiscriminatorName, audio: list[int], text: list[int]
) -> None:
    objective = ContrastiveLoss(kind, SIX, discriminator).double()
    batch = embeddings(audio, text)
    loss = objective(*batch)
    loss.backward()
    tensors = [*batch[:2], *objective.parameters()]
    assert bool(loss.isfinite())
    assert all(x.grad is not None and bool(x.grad.isfinite().all()) for x in tensors)
    if kind != "bce" and not set(audio) & set(text):  # bce still has its pairs of different emotions
        assert loss.item() == 0.0
        assert not any(x.grad is not None and bool(x.grad.any()) for x in tensors)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_embeddings_are_scored_in_float32(kind: ContrastiveLossName) -> None:
    objective = ContrastiveLoss(kind, SIX).eval()
    audio, text, audio_labels, text_labels = embeddings([0, 1, 2, 1, 0], [1, 1, 0, 3])
    halves = audio.bfloat16(), text.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got = objective(*halves, audio_labels, text_labels)
    assert got.dtype == torch.float32
    assert got.item() == objective(*(side.float() for side in halves), audio_labels, text_labels).item()


def test_the_cosine_discriminator_is_a_scaled_cosine() -> None:
    torch.manual_seed(0)
    discriminator = CosineDiscriminator(UNEVEN)
    audio, text = torch.randn(3, 4), torch.randn(2, 5)
    with torch.no_grad():
        scores = discriminator(audio, text)
        for i in range(3):
            for j in range(2):
                a, t = discriminator.audio(audio[i]), discriminator.text(text[j])
                cosine = (a @ t / (a.norm() * t.norm())).item()
                expected = cosine * math.exp(discriminator.log_scale.item()) + discriminator.bias.item()
                assert scores[i, j].item() == pytest.approx(expected, abs=1e-4)


def test_the_mlp_discriminator_concatenates_both_embeddings() -> None:
    torch.manual_seed(0)
    discriminator = MLPDiscriminator(UNEVEN)
    audio, text = torch.randn(3, 4), torch.randn(2, 5)
    first = torch.cat([discriminator.audio.weight, discriminator.text.weight], 1)
    with torch.no_grad():
        scores = discriminator(audio, text)
        for i in range(3):
            for j in range(2):
                expected = discriminator.pair(
                    first @ torch.cat([audio[i], text[j]]) + discriminator.audio.bias
                ).item()
                assert scores[i, j].item() == pytest.approx(expected, abs=1e-5)


def test_the_combined_loss_weighs_cross_entropy_and_contrast() -> None:
    total = CombinedLoss(0.3, "bce", SIX).double()
    batch = embeddings([0, 1, 2], [1, 0])
    assert total.contrastive is not None
    losses = total(torch.tensor(2.0), *batch)
    contrastive = total.contrastive(*batch).item()
    assert losses["contrastive"].item() == pytest.approx(contrastive)
    assert losses["loss"].item() == pytest.approx(0.7 * 2.0 + 0.3 * contrastive)


def test_without_alpha_there_is_no_discriminator() -> None:
    total = CombinedLoss(0.0, "mine", SIX)
    assert list(total.state_dict()) == []
    audio, text, audio_labels, text_labels = embeddings([0, 1], [1, 0])
    entropy = torch.tensor(2.0, requires_grad=True)
    losses = total(entropy, audio * torch.nan, text * torch.inf, audio_labels, text_labels)
    assert losses == {"loss": entropy, "cross_entropy": entropy}


@pytest.mark.parametrize("alpha", [-0.1, 1.0, 1.5, math.nan])
def test_an_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(SettingsError, match=f"alpha: expected at least 0 and below 1, got {alpha}"):
        CombinedLoss(alpha, "bce", SIX)


def test_unknown_names_are_refused() -> None:
    wrong: Any = "triplet"
    with pytest.raises(SettingsError, match="expected bce, infonce or mine, got 'triplet'"):
        ContrastiveLoss(wrong, SIX)
    with pytest.raises(SettingsError, match="expected cosine or mlp, got 'triplet'"):
        ContrastiveLoss("bce", SIX, wrong)
