"""The teacher of the audio student: the lower layers of Whisper's encoder, run beside it on the same sound.

Its states are computed as they are needed: what a clip turns into (another speed, another cut) is drawn anew
in every epoch, and the teacher has to hear the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from emostream.models import Samples
from emostream.models.collate import WaveformSpec, collate_audio, prepare
from emostream.models.pretrained import pretrained_audio_encoder

DEFAULT_WEIGHTS: Final = Path(__file__).resolve().parents[2].parent / "shared" / "weights"
_RMS: Final = 0.08
"""Full scale is 1. The student's sound has no level, so the teacher's has always the same."""
_LEVEL: Final = WaveformSpec(1)
_SOFT: Final = 50.0
"""Frames of a position that count as much as the mean of all positions."""
_FARTHEST: Final = 6.0


class WhisperTeacher:
    """`folder`: an encoder in transformers' layout. layers: 0 is the embedding, N the output of layer N."""

    def __init__(self, folder: Path, layers: Sequence[int]) -> None:
        self._encoder = pretrained_audio_encoder(folder).eval()
        network = self._encoder.backbone
        network.layers = network.layers[: max(layers)]  # nothing above is asked for
        network.layer_norm = nn.Identity()
        self._layers = tuple(layers)
        self.width = self._encoder.state_size

    @torch.inference_mode()
    def states(self, clips: Sequence[Samples]) -> tuple[Tensor, Tensor]:
        """B clips -> (B, T, L, D) at 50 frames a second and (B, T) valid, whatever the clips' level."""
        heard = [(_RMS * prepare(clip, _LEVEL)).clip(-1.0, 1.0) for clip in clips]
        batch = collate_audio(heard, self._encoder.waveform_spec)
        with torch.autocast("cpu", torch.bfloat16):  # half the time, and an error far below the student's
            states, mask = self._encoder.layers(batch.samples, batch.mask)
        return torch.stack([states[layer].float() for layer in self._layers], dim=2), mask


@dataclass(frozen=True, slots=True)
class StateNormalizer:
    """What is ordinary in the teacher's states. mean: (P, L, D) at each of P positions; deviation: (L, D).

    Whisper adds a table of positions to its frames. The student hears cut clips and knows none, so each
    position's own mean is taken off.
    """

    mean: Tensor
    deviation: Tensor

    def standardised(self, states: Tensor) -> Tensor:
        """(B, T, L, D) -> (B, T, L, D); behind the P positions the last one's mean serves."""
        places = torch.arange(states.shape[1]).clamp(max=len(self.mean) - 1)
        return ((states - self.mean[places]) / self.deviation).clamp(-_FARTHEST, _FARTHEST)

    @classmethod
    def of(cls, batches: Sequence[tuple[Tensor, Tensor]]) -> StateNormalizer:
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
        at_place = (total + _SOFT * mean) / (counts[:, None, None] + _SOFT)
        return cls(at_place.float(), deviation.float() + 1e-3)
