"""Calibrated probabilities from logits: late fusion and temperature scaling, the only tuned step.

    log p(c)  =  sum_h w_h (log p_h(c) - log q_h(c)) / T  + constant

with h over the heads that the item's modalities allow. Weights and temperatures belong to the modality
pattern and were fitted on validation speakers. The prior q is uniform, except for the text-only head in the
presence of audio: neutral text is far more frequent than sad text, the head has learned that prior, and it
must not count as evidence. Source: Guo et al., arXiv 1706.04599 (temperature).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from .emotion_fields import EmotionFields

Posteriors = npt.NDArray[np.float64]


def modality_pattern(has_audio: bool, has_text: bool) -> str:
    """both, audio or text; an item without either counts as silent audio."""
    if has_text:
        return "both" if has_audio else "text"
    return "audio"


def head_posterior(logits: npt.ArrayLike, head: str, config: EmotionFields) -> Posteriors:
    """logits: (B, C) of the audio-only or text-only head -> calibrated (B, C), float64."""
    return np.exp(_log_softmax(np.asarray(logits, np.float64) / config.temperatures[head]))


def fused_posterior(logits: Mapping[str, npt.ArrayLike], pattern: str, config: EmotionFields) -> Posteriors:
    """logits: head -> (B, C), all items of one pattern -> calibrated (B, C), float64."""
    weights = config.late_weights[pattern]
    parts = [
        weights[head] * prior_corrected_log_posterior(logits[head], head, pattern, config)
        for head in config.fused_heads(pattern)
    ]
    return np.exp(_log_softmax(np.sum(parts, axis=0) / config.temperatures[f"fused_{pattern}"]))


def prior_corrected_log_posterior(
    logits: npt.ArrayLike, head: str, pattern: str, config: EmotionFields
) -> Posteriors:
    """logits: (B, C) of one head -> (B, C), float64: its log posterior minus the log prior it has learned."""
    posterior = _log_softmax(np.asarray(logits, np.float64))
    if (head, pattern) != ("text", "both") or config.text_prior is None:
        return posterior
    return posterior - np.log(config.text_prior)


def _log_softmax(values: Posteriors) -> Posteriors:
    """Over the last axis."""
    shifted = values - values.max(axis=-1, keepdims=True)
    logs: Posteriors = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs
