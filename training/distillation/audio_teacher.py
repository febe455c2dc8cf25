"""The teacher of the audio student: the lower layers of Whisper's encoder, run on the same audio.

Its states are computed on the fly: the augmentation of a clip (speed, crop) is drawn anew in every epoch, and
the teacher needs the same audio as the student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from emostream.models import Samples
from emostream.models.collate import collate_audio
from emostream.models.inputs import WaveformSpec, prepare
from emostream.models.pretrained import pretrained_audio_encoder

_RMS: Final = 0.08
"""Full scale is 1. The student's input is level-normalized, so the teacher's always has the same level."""
_LEVEL: Final = WaveformSpec(1)
_PRIOR_FRAMES: Final = 50.0
"""Number of frames of a position whose weight equals that of the mean over all positions."""
_CLAMP: Final = 6.0


class WhisperTeacher:
    """`folder`: an encoder in transformers' layout. layers: 0 is the embedding, N the output of layer N."""

    def __init__(self, folder: Path, layers: Sequence[int]) -> None:
        self._encoder = pretrained_audio_encoder(folder).eval()
        network = self._encoder.backbone
        network.layers = network.layers[: max(layers)]  # layers above are not needed
        network.layer_norm = nn.Identity()
        self._layers = tuple(layers)
        self.width = self._encoder.state_size

    @torch.inference_mode()
    def states(self, clips: Sequence[Samples]) -> tuple[Tensor, Tensor]:
        """B clips -> (B, T, L, D) at 50 frames a second and (B, T) valid, whatever the clips' level."""
        normalized = [(_RMS * prepare(clip, _LEVEL)).clip(-1.0, 1.0) for clip in clips]
        batch = collate_audio(normalized, self._encoder.waveform_spec)
        with torch.autocast("cpu", torch.bfloat16):  # half the time, and an error far below the student's
            states, mask = self._encoder.layers(batch.samples, batch.mask)
        return torch.stack([states[layer].float() for layer in self._layers], dim=2), mask


@dataclass(frozen=True, slots=True)
class StateNormalizer:
    """Normalizes the teacher's states. mean: (P, L, D) at each of P positions; deviation: (L, D).

    Whisper adds a position embedding to its frames. The student is trained on cropped clips without
    positions, so each position's own mean is subtracted.
    """

    mean: Tensor
    deviation: Tensor

    def normalize(self, states: Tensor) -> Tensor:
        """(B, T, L, D) -> (B, T, L, D); behind the P positions the last one's mean is used."""
        positions = torch.arange(states.shape[1]).clamp(max=len(self.mean) - 1)
        return ((states - self.mean[positions]) / self.deviation).clamp(-_CLAMP, _CLAMP)

    @classmethod
    def fit(cls, batches: Sequence[tuple[Tensor, Tensor]]) -> StateNormalizer:
        """batches: (B, T, L, D) states and (B, T) valid frames, of many clips."""
        longest = max(states.shape[1] for states, _ in batches)
        total = torch.zeros(longest, *batches[0][0].shape[2:], dtype=torch.float64)
        squares, counts = torch.zeros_like(total[0]), torch.zeros(longest, dtype=torch.float64)
        for states, mask in batches:
            valid = states.double() * mask[..., None, None]
            total[: states.shape[1]] += valid.sum(0)
            squares += valid.square().sum((0, 1))
            counts[: states.shape[1]] += mask.sum(0)
        mean = total.sum(0) / counts.sum()
        deviation = (squares / counts.sum() - mean.square()).clamp(min=0).sqrt()
        position_mean = (total + _PRIOR_FRAMES * mean) / (counts[:, None, None] + _PRIOR_FRAMES)
        return cls(position_mean.float(), deviation.float() + 1e-3)
