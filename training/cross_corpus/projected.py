"""Clips behind the frozen encoder and the projection, to be judged against many baselines at little cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from emostream.models.emotion import Baselines, EmotionModel, EncodedModality

from .clips import SpeechClip
from .states import Views
from .streams import KnownVoice

_BATCH: Final = 64

Floats = npt.NDArray[np.float32]


class ProjectedClips:
    """voices: (N, D), each clip's mean standardised state, over the frames that are stored."""

    @torch.inference_mode()
    def __init__(self, model: EmotionModel, clips: Sequence[SpeechClip], views: Views, view: int = 0) -> None:
        model.eval()
        self._model = model
        self._frames: list[npt.NDArray[np.float16]] = []
        voices: list[Floats] = []
        for clip in clips:
            encoded = encode_states(model, views.states(clip, view)[None])
            assert encoded.voice is not None
            self._frames.append(encoded.features[0].numpy().astype(np.float16))
            voices.append(encoded.voice[0].numpy())
        self.voices: Floats = np.stack(voices) if voices else np.zeros((0, 0), np.float32)

    @torch.inference_mode()
    def logits(
        self, rows: Iterable[int], baselines: Sequence[KnownVoice | None] | None = None
    ) -> npt.NDArray[np.float64]:
        """(M, C) of the audio-only head for these rows. baselines: one for each; None: the common one."""
        rows = list(rows)
        order = sorted(range(len(rows)), key=lambda place: len(self._frames[rows[place]]))
        result = np.zeros((len(rows), len(self._model.config.label_names)))
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            known = None if baselines is None else [baselines[place] for place in places]
            result[places] = self._batch([rows[place] for place in places], known)
        return result

    def _batch(
        self, rows: Sequence[int], baselines: Sequence[KnownVoice | None] | None
    ) -> npt.NDArray[np.float64]:
        frames = [torch.from_numpy(self._frames[row]).float() for row in rows]
        features = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)  # (B, T, H)
        mask = torch.arange(features.shape[1]) < torch.tensor([len(clip) for clip in frames])[:, None]
        mix = self._model.concatenation
        known = None
        if baselines is not None:
            none = (np.zeros(self.voices.shape[1], np.float32), 0.0)
            shifts, shares = zip(*(none if one is None else one for one in baselines), strict=True)
            known = Baselines(torch.from_numpy(np.stack(shifts)), torch.tensor(shares))
            features = features - mix.shift(known.shifts)[:, None]
        pooled = self._model.audio_pool(mix.activate(features), mask)
        logits: npt.NDArray[np.float64] = self._model.classify_audio(pooled, known).double().numpy()
        return logits


def encode_states(
    model: EmotionModel, states: torch.Tensor, mask: torch.Tensor | None = None
) -> EncodedModality:
    """The audio branch behind the frozen encoder. states: (B, L, T, H) of the chosen layers; mask: (B, T)."""
    layers = [states[:, 0].float()] * model.audio_encoder.states  # those that are not chosen are not read
    for position, layer in enumerate(model.concatenation.chosen):
        layers[layer] = states[:, position].float()
    if mask is None:
        mask = torch.ones(states.shape[0], states.shape[2], dtype=torch.bool)
    return model.encode_states(layers, mask, torch.ones(len(states), dtype=torch.bool))
