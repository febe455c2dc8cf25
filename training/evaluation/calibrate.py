"""Late-fusion weights and temperatures, fitted on validation speakers and texts.

No other parameters are fitted here, and no data of a test speaker is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from emostream.models.calibration import fused_posterior, prior_corrected_log_posterior
from emostream.models.config import EmotionConfig


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """The divisor of `logits` (B, C) that makes the mean negative log-likelihood least; 0.2 to 10."""
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    _minimise(
        [log_temperature],
        lambda: nn.functional.cross_entropy(logits.double() / log_temperature.exp(), truth),
    )
    return float(log_temperature.detach().exp().clamp(0.2, 10.0))


def fit_prior(logits: Tensor, truth: Tensor) -> list[float]:
    """logits: (B, C) of items of every label, equally many -> (C,) shares that sum to 1: the implicit prior
    of a head, to be divided out of its posterior, by maximum likelihood. At least 0.01 each.
    """
    shift = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    posterior = logits.double().log_softmax(-1)

    def loss() -> Tensor:
        centred = shift - shift.mean()
        return nn.functional.cross_entropy((posterior - centred) * scale.exp(), truth)

    _minimise([shift, scale], loss)
    shares = shift.detach().softmax(0).clamp(min=0.01)
    return [float(share) for share in shares / shares.sum()]


def fit_late_weights(logits: Mapping[str, Tensor], heads: Sequence[str], truth: Tensor) -> dict[str, float]:
    """Weights >= 0 that sum to 1, by maximum likelihood. logits: or log posteriors, or what
    `prior_corrected_log_posterior` returns.

    The scale is fitted along and discarded: the temperature sets it.
    """
    if len(heads) == 1:
        return {heads[0]: 1.0}
    raw = torch.zeros(len(heads), dtype=torch.float64, requires_grad=True)
    scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    posteriors = torch.stack([logits[head].double().log_softmax(-1) for head in heads])  # (H, B, C)

    def loss() -> Tensor:
        mixed = (raw.softmax(0)[:, None, None] * posteriors).sum(0) * scale.exp()
        # Regularizes toward even weights, as strongly as one clip: few clips determine the weights poorly.
        return nn.functional.cross_entropy(mixed, truth) + raw.square().sum() / len(truth)

    _minimise([raw, scale], loss)
    return dict(zip(heads, (float(weight) for weight in raw.detach().softmax(0)), strict=True))


def fit_pattern(config: EmotionConfig, pattern: str, logits: Mapping[str, Tensor], truth: Tensor) -> None:
    """Writes the pattern's weights and temperature into the configuration."""
    heads = config.fused_heads(pattern)
    corrected = {
        head: torch.from_numpy(prior_corrected_log_posterior(logits[head].numpy(), head, pattern, config))
        for head in heads
    }
    config.late_weights[pattern] = fit_late_weights(corrected, heads, truth)
    config.temperatures[f"fused_{pattern}"] = 1.0
    arrays = {head: values.numpy() for head, values in logits.items()}
    posterior = torch.from_numpy(fused_posterior(arrays, pattern, config))
    config.temperatures[f"fused_{pattern}"] = fit_temperature(posterior.log(), truth)


def _minimise(parameters: list[Tensor], loss: object) -> None:
    optimizer = torch.optim.LBFGS(parameters, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = loss()  # type: ignore[operator]
        value.backward()
        return value

    optimizer.step(closure)
