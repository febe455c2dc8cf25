"""Calibrated probabilities from logits: late fusion and temperature scaling, the only tuned step.

    log p(c)  =  sum_h w_h (log p_h(c) - log q_h(c)) / T  + constant

with h over the heads that the item's modalities allow. Weights and temperatures belong to the modality
pattern and were fitted on validation speakers. The prior q is uniform, except for the text-only head in the
presence of audio: neutral text is far more frequent than sad text, the head has learned that prior, and it
must not count as evidence. Source: Guo et al., arXiv 1706.04599 (temperature).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .config import EmotionConfig


def modality_pattern(has_audio: bool, has_text: bool) -> str:
    """both, audio or text; an item without either counts as silent audio."""
    if has_text:
        return "both" if has_audio else "text"
    return "audio"


def head_posterior(logits: Tensor, head: str, config: EmotionConfig) -> Tensor:
    """logits: (B, C) of the audio-only or text-only head -> calibrated (B, C), float64."""
    return (logits.double() / config.temperatures[head]).softmax(-1)


def fused_posterior(logits: Mapping[str, Tensor], pattern: str, config: EmotionConfig) -> Tensor:
    """logits: head -> (B, C), all items of one pattern -> calibrated (B, C), float64."""
    weights = config.late_weights[pattern]
    total = torch.stack(
        [
            weights[head] * prior_corrected_log_posterior(logits[head], head, pattern, config)
            for head in config.fused_heads(pattern)
        ]
    ).sum(0)
    return (total / config.temperatures[f"fused_{pattern}"]).softmax(-1)


def prior_corrected_log_posterior(logits: Tensor, head: str, pattern: str, config: EmotionConfig) -> Tensor:
    """logits: (B, C) of one head -> (B, C), float64: its log posterior minus the log prior it has learned."""
    posterior = logits.double().log_softmax(-1)
    if (head, pattern) != ("text", "both") or config.text_prior is None:
        return posterior
    return posterior - posterior.new_tensor(config.text_prior).log()
