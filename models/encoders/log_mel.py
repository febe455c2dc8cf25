"""Whisper's log-mel spectrogram, as transformers' WhisperFeatureExtractor computes it, for padded batches."""

from __future__ import annotations

from functools import cache
from typing import Final

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from ..types import SAMPLE_RATE_HZ

WINDOW: Final = 400
HOP: Final = 160


def log_mel(samples: Tensor, counts: Tensor, bins: int) -> Tensor:
    """samples: (B, N) float; counts: (B,) valid samples, more than half a window -> (B, bins, F) float32.

    A clip of n samples has n // HOP frames, centred at multiples of HOP; zeros follow. Each clip is taken
    at its own length: the window reflects at its end, and its loudest bin sets its floor.
    """
    filters, window = mel_filters(bins, samples.device), torch.hann_window(WINDOW, device=samples.device)
    with torch.autocast(samples.device.type, enabled=False):
        clips = [
            _one(row[:count].float(), filters, window) for row, count in zip(samples, counts, strict=True)
        ]
    return nn.utils.rnn.pad_sequence(clips, batch_first=True).transpose(1, 2)


def _one(clip: Tensor, filters: Tensor, window: Tensor) -> Tensor:
    """(n,) -> (F, bins)."""
    spectrum = torch.stft(clip, WINDOW, HOP, window=window, return_complex=True)[:, :-1]
    return normalize_log_power(filters @ spectrum.abs().square()).T


def normalize_log_power(power: Tensor) -> Tensor:
    """Of one clip: decimal logarithm, nothing more than 80 dB below the loudest bin, brought near [-1, 1]."""
    logarithm = power.clamp(min=1e-10).log10()
    return (torch.maximum(logarithm, logarithm.max() - 8.0) + 4.0) / 4.0


@cache
def mel_filters(bins: int, device: torch.device) -> Tensor:
    """(bins, WINDOW // 2 + 1). Not a buffer of a module: a checkpoint has nothing to say about it."""
    bank = mel_filter_bank(
        num_frequency_bins=WINDOW // 2 + 1,
        num_mel_filters=bins,
        min_frequency=0.0,
        max_frequency=SAMPLE_RATE_HZ / 2,
        sampling_rate=SAMPLE_RATE_HZ,
        norm="slaney",
        mel_scale="slaney",
    )
    with torch.inference_mode(False):  # what is kept must serve training too
        return torch.from_numpy(bank.T.copy()).to(device, torch.float32)
