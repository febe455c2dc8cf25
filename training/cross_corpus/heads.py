"""The audio-only head on cached states, judged against random baselines: a task for the trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from emostream.models.emotion import Baselines, EmotionModel
from emostream.models.encoders.layer_mix import LayerConcat

from ..losses.cross_entropy import soft_cross_entropy
from ..trainer.batching import length_grouped_batches
from ..trainer.seeding import example_rng
from ..trainer.task import Losses
from .clips import SpeechClip, balanced_weights
from .projected import ProjectedClips, encode_states
from .settings import CrossCorpusSettings
from .states import Views
from .streams import KnownVoice, random_baseline

Floats = npt.NDArray[np.float32]
_WATCHED: Final = 400


@dataclass(frozen=True, slots=True)
class StateBatch:
    """states: (B, L, T, H) float16; mask: (B, T); targets: (B, C)."""

    states: Tensor
    mask: Tensor
    baselines: Baselines
    targets: Tensor

    def to(self, device: torch.device) -> StateBatch:
        known = Baselines(self.baselines.shifts.to(device), self.baselines.known.to(device))
        return StateBatch(self.states.to(device), self.mask.to(device), known, self.targets.to(device))


class SessionVoices:
    """Every clip's voice (D,) in every view, and whose it is: what random baselines are drawn from."""

    def __init__(self, clips: Sequence[SpeechClip], views: Views, mix: LayerConcat) -> None:
        mean, scale = mix.mean.numpy(), mix.scale.numpy()
        self._rows: dict[tuple[int, str, int], dict[int, list[int]]] = {}
        self._voices: list[Floats] = []
        for view in range(len(views.caches)):
            voices = np.zeros((len(clips), mean.size), np.float32)
            for row, clip in enumerate(clips):
                if view < views.count(clip):
                    voices[row] = ((views.mean(clip, view) - mean) / scale).reshape(-1)
                    session = (view, clip.speaker, views.session(clip, view))
                    self._rows.setdefault(session, {}).setdefault(clip.label, []).append(row)
            self._voices.append(voices)

    def draw(
        self,
        clip: SpeechClip,
        view: int,
        session: int,
        prior_count: float,
        cold: float,
        rng: np.random.Generator,
    ) -> KnownVoice | None:
        """The baseline after a random stream of the clip's speaker in the clip's session and view."""
        rows = self._rows[view, clip.speaker, session]
        return random_baseline(rows, self._voices[view], prior_count, cold, rng)


class HeadModule(nn.Module):
    """The model with the loss of its audio-only head."""

    def __init__(self, model: EmotionModel, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self._smoothing = label_smoothing

    def forward(self, batch: StateBatch) -> Losses:
        logits = audio_logits(self.model, batch)
        return {"loss": soft_cross_entropy(logits.float(), batch.targets, self._smoothing)}


def audio_logits(model: EmotionModel, batch: StateBatch) -> Tensor:
    """(B, C) of the audio-only head alone."""
    mix = model.concatenation
    encoded = encode_states(model, batch.states, batch.mask)
    features = mix.activate(encoded.features - mix.shift(batch.baselines.shifts)[:, None])
    return model.classify_audio(model.audio_pool(features, batch.mask), batch.baselines)


@dataclass(frozen=True, slots=True)
class HeadData:
    """train, validation: no speaker in both. voices: of `train`."""

    train: Sequence[SpeechClip]
    validation: Sequence[SpeechClip]
    views: Views
    voices: SessionVoices


@dataclass(frozen=True, slots=True)
class HeadTask:
    """The head as a `trainer.Task`; every epoch draws its clips by the weights of `balanced_weights`."""

    module: HeadModule
    data: HeadData
    settings: CrossCorpusSettings
    seed: int

    def parameter_groups(self) -> list[dict[str, object]]:
        trainable = [weights for weights in self.module.parameters() if weights.requires_grad]
        return [{"params": trainable, "lr": self.settings.head.trainer.learning_rate}]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        data = self.settings.data
        rng = np.random.default_rng([self.seed, 5, epoch])
        weights = balanced_weights(self.data.train, data.ordinary, data.clips_per_speaker, rng)
        drawn = rng.choice(len(weights), size=data.epoch_clips, p=weights)
        lengths = [float(self.settings.head.frames_per_clip)] * len(drawn)
        batches = length_grouped_batches(lengths, self.settings.head.trainer.batch, rng)
        return [[int(drawn[index]) for index in batch] for batch in batches]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> StateBatch:
        """Runs in one process, so every item is in the loss."""
        states, baselines = [], []
        for place, item in enumerate(items):
            clip = self.data.train[item]
            rng = example_rng(self.seed, epoch, f"{clip.key} {place}")
            view = int(rng.integers(self.data.views.count(clip)))
            session = self.data.views.session(clip, view)
            settings = self.settings.baseline
            baselines.append(
                self.data.voices.draw(clip, view, session, settings.prior_count, settings.cold, rng)
            )
            states.append(self._sampled(self.data.views.states(clip, view), rng))
        targets = torch.tensor([self.data.train[item].target for item in items])
        return collate_states(states, baselines, targets)

    def _sampled(self, states: Tensor, rng: np.random.Generator) -> Tensor:
        """A random subset of the frames, in order."""
        count = self.settings.head.frames_per_clip
        if states.shape[1] <= count:
            return states
        return states[:, torch.from_numpy(np.sort(rng.choice(states.shape[1], count, replace=False)))]

    def validate(self, process: int, processes: int) -> list[tuple[str, int, int]]:
        """(corpus, label, predicted) of some validation clips, without a baseline: to watch, not to choose
        by.
        """
        labelled = [clip for clip in self.data.validation if clip.label >= 0]
        clips = labelled[:: max(1, len(labelled) // _WATCHED)][process::processes]
        logits = ProjectedClips(self.module.model, clips, self.data.views).logits(range(len(clips)))
        return [
            (clip.corpus, clip.label, guess)
            for clip, guess in zip(clips, logits.argmax(1).tolist(), strict=True)
        ]

    def metrics(self, predictions: Sequence[Any]) -> Mapping[str, float]:
        """ua: the mean over the corpora of the mean recall."""
        recalls: dict[tuple[str, int], list[bool]] = {}
        for corpus, label, predicted in predictions:
            recalls.setdefault((corpus, label), []).append(predicted == label)
        by_corpus: dict[str, list[float]] = {}
        for (corpus, _), hits in recalls.items():
            by_corpus.setdefault(corpus, []).append(float(np.mean(hits)))
        return {"ua": float(np.mean([np.mean(values) for values in by_corpus.values()]))}


def collate_states(
    states: Sequence[Tensor], baselines: Sequence[KnownVoice | None], targets: Tensor
) -> StateBatch:
    """states: (L, T, H) of each row."""
    layers, _, width = states[0].shape
    longest = max(rows.shape[1] for rows in states)
    padded = torch.zeros(len(states), layers, longest, width, dtype=torch.float16)
    mask = torch.zeros(len(states), longest, dtype=torch.bool)
    known = Baselines(torch.zeros(len(states), layers * width), torch.zeros(len(states)))
    for row, (clip, baseline) in enumerate(zip(states, baselines, strict=True)):
        padded[row, :, : clip.shape[1]] = clip
        mask[row, : clip.shape[1]] = True
        if baseline is not None:
            known.shifts[row] = torch.from_numpy(baseline[0])
            known.known[row] = baseline[1]
    return StateBatch(padded, mask, known, targets)


def fit_statistics(
    mix: LayerConcat, clips: Sequence[SpeechClip], views: Views, weights: npt.NDArray[np.float64]
) -> None:
    """Sets mean and deviation of the frames of all views, each clip by its weight."""
    total = np.zeros((2, *mix.mean.shape))
    mass = 0.0
    rng = np.random.default_rng(0)
    for row in rng.choice(len(clips), size=min(2000, len(clips)), p=weights / weights.sum()).tolist():
        clip = clips[row]
        frames = views.states(clip, int(rng.integers(views.count(clip)))).double().numpy()  # (L, T, H)
        total[0] += frames.mean(1)
        total[1] += (frames**2).mean(1)
        mass += 1.0
    mean = total[0] / mass
    deviation = np.sqrt(np.maximum(total[1] / mass - mean**2, 0.0))
    with torch.no_grad():
        mix.mean.copy_(torch.from_numpy(mean).float())
        mix.scale.copy_(torch.from_numpy(deviation).float() + 1e-3)
