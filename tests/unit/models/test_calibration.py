"""Late fusion and temperatures, against the formula and against a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from emostream.models.calibration import fused_posterior, head_posterior, modality_pattern
from emostream.training.evaluation.calibrate import (
    fit_late_weights,
    fit_pattern,
    fit_prior,
    fit_temperature,
)
from tests.support.tiny_emotion import tiny_config


def softmax(values: list[float]) -> list[float]:
    total = sum(map(math.exp, values))
    return [math.exp(value) / total for value in values]


def test_late_fusion_equals_the_log_linear_formula() -> None:
    config = tiny_config()
    config.late_weights["both"] = {"early": 0.5, "audio": 0.3, "text": 0.2}
    config.temperatures["fused_both"] = 1.6
    heads = {"early": [2.0, 0.0, -1.0, 0.5], "audio": [0.1, 0.2, 0.3, 0.4], "text": [-1.0, 3.0, 0.0, 0.0]}
    logs = {head: [math.log(p) for p in softmax(values)] for head, values in heads.items()}
    mixed = [
        (0.5 * logs["early"][c] + 0.3 * logs["audio"][c] + 0.2 * logs["text"][c]) / 1.6 for c in range(4)
    ]
    got = fused_posterior({head: torch.tensor([values]) for head, values in heads.items()}, "both", config)
    assert got[0].tolist() == pytest.approx(softmax(mixed), abs=1e-6)


def test_the_text_prior_is_divided_out_if_there_is_audio() -> None:
    config = tiny_config(text_prior=[0.1, 0.2, 0.1, 0.6])
    config.late_weights["both"] = {"early": 0.0, "audio": 0.5, "text": 0.5}
    config.temperatures["fused_both"] = 0.5
    audio, text = [0.1, 0.2, 0.3, 0.4], [-1.0, 3.0, 0.0, 0.0]
    wanted = [
        a * t / prior for a, t, prior in zip(softmax(audio), softmax(text), [0.1, 0.2, 0.1, 0.6], strict=True)
    ]
    heads = {"early": torch.zeros(1, 4), "audio": torch.tensor([audio]), "text": torch.tensor([text])}
    got = fused_posterior(heads, "both", config)
    assert got[0].tolist() == pytest.approx([share / sum(wanted) for share in wanted], abs=1e-6)


def test_text_only_keeps_its_prior() -> None:
    heads = {"early": torch.zeros(1, 4), "text": torch.tensor([[-1.0, 3.0, 0.0, 0.0]])}
    even, uneven = (
        fused_posterior(heads, "text", tiny_config(text_prior=prior))
        for prior in (None, [0.1, 0.2, 0.1, 0.6])
    )
    assert np.array_equal(even, uneven)


def test_the_prior_of_a_head_is_recovered() -> None:
    """A Bayes-optimal head, trained on unbalanced labels and evaluated on balanced ones."""
    torch.manual_seed(0)
    prior = torch.tensor([0.1, 0.25, 0.05, 0.6])
    truth = torch.arange(4).repeat(2_000)
    means = 1.5 * torch.eye(4)
    evidence = (means[truth] + torch.randn(8_000, 4)) @ means.T  # of Gaussian classes, constants left out
    logits = evidence + prior.log()
    assert fit_prior(logits, truth) == pytest.approx(prior.tolist(), abs=0.015)
    assert fit_prior(2.0 * evidence, truth) == pytest.approx([0.25] * 4, abs=0.015)


def test_one_temperature_per_head() -> None:
    config = tiny_config()
    config.temperatures["text"] = 2.0
    got = head_posterior(torch.tensor([[2.0, 0.0, 0.0, 4.0]]), "text", config)
    assert got[0].tolist() == pytest.approx(softmax([1.0, 0.0, 0.0, 2.0]), abs=1e-6)


@pytest.mark.parametrize(
    ("audio", "text", "pattern"),
    [(True, True, "both"), (True, False, "audio"), (False, True, "text"), (False, False, "audio")],
)
def test_modality_patterns(audio: bool, text: bool, pattern: str) -> None:
    assert modality_pattern(audio, text) == pattern


def overconfident(factor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `factor` times what they should be, and labels drawn from the right ones."""
    torch.manual_seed(0)
    logits = 2.0 * torch.randn(4000, 4)
    truth = torch.distributions.Categorical(logits=logits).sample()
    return factor * logits, truth


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_corrects_overconfidence(factor: float) -> None:
    assert fit_temperature(*overconfident(factor)) == pytest.approx(factor, rel=0.08)


def test_the_temperature_is_the_best_of_a_grid() -> None:
    logits, truth = overconfident(2.0)
    best = min(
        (float(torch.nn.functional.cross_entropy(logits / t, truth)), t)
        for t in [0.5 + 0.02 * step for step in range(150)]
    )[1]
    assert fit_temperature(logits, truth) == pytest.approx(best, abs=0.03)


def test_the_informative_head_gets_the_larger_late_weight() -> None:
    logits, truth = overconfident(1.0)
    guesses = {"early": logits, "audio": torch.randn(4000, 4), "text": 0.2 * torch.randn(4000, 4)}
    weights = fit_late_weights(guesses, ("early", "audio", "text"), truth)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["early"] > 0.6


def test_fitting_a_pattern_does_not_make_it_worse() -> None:
    config = tiny_config()
    logits, truth = overconfident(3.0)
    heads = {"early": logits, "audio": torch.randn(4000, 4)}
    before = fused_posterior(heads, "audio", config)
    fit_pattern(config, "audio", heads, truth)
    after = fused_posterior(heads, "audio", config)
    rows = np.arange(len(truth))
    assert np.log(after[rows, truth]).mean() > np.log(before[rows, truth]).mean()
