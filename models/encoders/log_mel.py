"""The log-mel spectrogram of `spectrogram` in torch, for padded batches."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from .spectrogram import HOP, WINDOW, mel_filter_bank


def log_mel(samples: Tensor, counts: Tensor, bins: int) -> Tensor:
    """samples: (B, N) float; counts: (B,) valid samples, more than half a window -> (B, bins, F) float32.

    A clip of n samples has n // HOP frames, centred at multiples of HOP; zeros follow. Each clip is processed
    at its own length: it is reflected at its end, and its loudest bin sets its floor.
    """
    filters, window = mel_filters(bins, samples.device), torch.hann_window(WINDOW, device=samples.device)
    with torch.autocast(samples.device.type, enabled=False):
        clips = [
            _log_mel_of(row[:count].float(), filters, window)
            for row, count in zip(samples, counts, strict=True)
        ]
    return nn.utils.rnn.pad_sequence(clips, batch_first=True).transpose(1, 2)


def _log_mel_of(clip: Tensor, filters: Tensor, window: Tensor) -> Tensor:
    """(n,) -> (F, bins)."""
    spectrum = torch.stft(clip, WINDOW, HOP, window=window, return_complex=True)[:, :-1]
    return normalize_log_power(filters @ spectrum.abs().square()).T


def normalize_log_power(power: Tensor) -> Tensor:
    """Decimal logarithm of one clip's power, floored at 80 dB below the loudest bin, scaled to about [-1,
    1]."""
    logarithm = power.clamp(min=1e-10).log10()
    return (torch.maximum(logarithm, logarithm.max() - 8.0) + 4.0) / 4.0


@cache
def mel_filters(bins: int, device: torch.device) -> Tensor:
    """(bins, WINDOW // 2 + 1). Not a module buffer, so that it does not end up in checkpoints."""
    with torch.inference_mode(False):  # the cached tensor must be usable in training too
        return torch.from_numpy(mel_filter_bank(bins)).to(device)
