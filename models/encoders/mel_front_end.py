"""Whisper's front end, two convolutions over a log-mel spectrogram, in place of seven over the waveform.

For encoders that are trained on hours, not thousands of hours: the filterbank need not be learned
(docs/adr/0010). The spectrogram is Whisper's, see `log_mel`.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import length_mask
from .log_mel import log_mel, mel_filters, normalize_log_power
from .spectrogram import HOP, WINDOW

STRIDE: Final = 2
"""Of the second convolution: two frames of the spectrogram make one of the encoder's, 50 a second."""


class MelFrontEnd(nn.Module):
    """Samples to channels, 50 frames a second, frame t centred at sample t HOP STRIDE."""

    def __init__(self, bins: int, channels: int) -> None:
        super().__init__()
        self.bins = bins
        self.conv1 = nn.Conv1d(bins, channels, 3, padding=1)
        self.conv2 = nn.Conv1d(channels, channels, 3, stride=STRIDE, padding=1)

    def padded(self, samples: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """samples: (B, N); counts: (B,) valid ones -> (B, C, T), and (B,) valid frames of T."""
        spectrum = log_mel(samples, counts, self.bins).to(self.conv1.weight.dtype)
        return apply_convolutions(self.conv1, self.conv2, spectrum, counts // HOP)

    def forward(self, samples: Tensor) -> Tensor:
        """(1, N) -> (1, C, T): one clip without padding."""
        frames, _ = self.padded(samples, torch.tensor([samples.shape[1]], device=samples.device))
        return frames


class ExportableLogMel(nn.Module):
    """`log_mel` for one clip, as matrix products so that it can be exported.

    Its constant tables (`spectrogram_tables`) are not part of a checkpoint.
    """

    filters: Tensor
    waves: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        for name, table in spectrogram_tables(bins).items():
            self.register_buffer(name, table)

    def forward(self, samples: Tensor) -> Tensor:
        """(1, N) -> (1, bins, F)."""
        padded = F.pad(samples[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")
        spectrum = F.conv1d(padded, self.waves, stride=HOP)[..., :-1]  # (1, WINDOW + 2, F)
        real, imaginary = spectrum.chunk(2, dim=1)
        return normalize_log_power(self.filters @ (real.square() + imaginary.square()))


class ExportableMelFrontEnd(ExportableLogMel):
    """`MelFrontEnd` for one clip, exportable."""

    def __init__(self, front_end: MelFrontEnd) -> None:
        super().__init__(front_end.bins)
        self.conv1, self.conv2 = front_end.conv1, front_end.conv2

    def forward(self, samples: Tensor) -> Tensor:
        """(1, N) -> (1, C, T)."""
        return F.gelu(self.conv2(F.gelu(self.conv1(super().forward(samples)))))


def spectrogram_tables(bins: int) -> dict[str, Tensor]:
    """Mel filters (bins, WINDOW / 2 + 1), and the waves (WINDOW + 2, 1, WINDOW) of the Fourier transform."""
    return {"filters": mel_filters(bins, torch.device("cpu")), "waves": _waves()}


def apply_convolutions(
    conv1: nn.Conv1d, conv2: nn.Conv1d, mel: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """mel: (B, bins, F); counts: (B,) valid frames of F -> (B, C, T), and (B,) valid frames of T."""
    x = F.gelu(conv1(mel))
    # For a single clip the second convolution is zero-padded after its end; reproduce that in a batch.
    x = x * length_mask(counts, x.shape[2])[:, None]
    return F.gelu(conv2(x)), (counts + STRIDE - 1) // STRIDE


def _waves() -> Tensor:
    """(WINDOW + 2, 1, WINDOW): the discrete Fourier transform under a Hann window, real parts first."""
    angles = torch.outer(torch.arange(WINDOW // 2 + 1), torch.arange(WINDOW)) % WINDOW
    turns = angles.double() * (2.0 * math.pi / WINDOW)
    waves = torch.cat([turns.cos(), -turns.sin()]) * torch.hann_window(WINDOW, dtype=torch.float64)
    return waves.float()[:, None]
