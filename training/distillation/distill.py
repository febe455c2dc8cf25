"""Stage 1: distillation of the audio teacher's states into the student, frame by frame, layer by layer.

The student's input is noisier and duller than the teacher's, with the same targets. Besides the frames, the
loss includes two statistics of each clip, mean and deviation of its frames: the emotion head is built on
them. Layer to layer as in FitNets (arXiv 1412.6550), of speech as in DistilHuBERT (arXiv 2110.01900).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emostream.models import SAMPLE_RATE_HZ, Samples
from emostream.models.collate import AudioBatch, collate_audio
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.base import AudioEncoder
from emostream.models.inputs import WaveformSpec

from ..augmentation.pitch_tempo import random_pitch_and_tempo
from ..augmentation.waveform import distort, resample_speed
from ..corpora.example import Example
from ..data.audio_cache import FRAME, AudioCache
from ..trainer.batching import length_grouped_batches
from ..trainer.history import History
from ..trainer.runtime import Runtime
from ..trainer.seeding import example_rng
from ..trainer.settings import TrainerSettings
from ..trainer.snapshots import load_if_complete, save_atomically
from ..trainer.task import Losses
from ..trainer.trainer import fit
from .audio_teacher import StateNormalizer, WhisperTeacher
from .settings import DistillationSettings

_SCALE_CLIPS = 960
_SHORTEST = 15 * FRAME
_CLIP_SPREAD = (0.12, 0.06)
"""Variance over clips of a clip's mean and of its deviation, of standardised states: the error of predicting
the mean.
"""


@dataclass(frozen=True, slots=True)
class DistillationBatch:
    """targets: (B, T, L, D) standardised states of the teacher; mask: (B, T) the clips' own frames."""

    audio: AudioBatch
    targets: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> DistillationBatch:
        return DistillationBatch(self.audio.to(device), self.targets.to(device), self.mask.to(device))


class DistillationModule(nn.Module):
    """The student's encoder with a map to the teacher's width for each layer, discarded after training.

    The teacher's layers are targets of as many of the student's uppermost ones.
    """

    def __init__(self, encoder: AudioEncoder, layers: int, width: int, clip_weight: float) -> None:
        """layers, width: of the teacher's states. Raises ValueError where the student has too few layers."""
        super().__init__()
        if encoder.states < layers:
            raise ValueError(f"expected a student of {layers - 1} layers or more, got {encoder.states - 1}")
        self.encoder = encoder
        own = encoder.state_size
        self.norms = nn.ModuleList(nn.LayerNorm(own) for _ in range(layers))
        maps = [nn.Linear(own, width) for _ in range(layers)]
        for linear in maps:
            nn.init.normal_(linear.weight, std=0.01)  # an untrained map predicts the mean
        self.frames = nn.ModuleList(maps)
        self.deviations = nn.ModuleList(nn.Linear(own, width) for _ in range(layers))
        self._clip_weight = clip_weight

    def forward(self, batch: DistillationBatch) -> Losses:
        """frames: mean squared error over the teacher's dimensions, 1 or less is the error of predicting the
        mean; clips: of the clips' mean and deviation, 2 is the error of predicting the mean.
        """
        states, _ = self.encoder.layers(batch.audio.samples, batch.audio.mask)
        student_states = [norm(x) for norm, x in zip(self.norms, states[-len(self.norms) :], strict=True)]
        predicted = torch.stack(
            [linear(x) for linear, x in zip(self.frames, student_states, strict=True)], dim=2
        ).float()
        frames = (predicted - batch.targets)[batch.mask].square().mean()
        mean, deviation = _statistics(batch.targets, batch.mask)
        predicted_mean, _ = _statistics(predicted, batch.mask)
        own_deviations = _statistics(torch.stack(student_states, dim=2).float(), batch.mask)[1].unbind(1)
        predicted_deviation = torch.stack(
            [linear(x) for linear, x in zip(self.deviations, own_deviations, strict=True)], dim=1
        )
        clips = (predicted_mean - mean).square().mean() / _CLIP_SPREAD[0]
        clips = clips + (predicted_deviation.float() - deviation).square().mean() / _CLIP_SPREAD[1]
        return {"loss": frames + self._clip_weight * clips, "frames": frames, "clips": clips}


def _statistics(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, L, D), (B, T) -> mean and standard deviation over the valid frames, each (B, L, D)."""
    share = (mask / mask.sum(1)[:, None])[..., None, None]
    mean = (share * x).sum(1)
    variance = (share * (x - mean[:, None]).square()).sum(1)
    return mean, (variance + 1e-4).sqrt()


@dataclass(frozen=True, slots=True)
class DistillationData:
    """train holds training speakers only; validation serves the validation loss, never training.

    audio: corpus -> its clips; corpora not named are under "".
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    audio: Mapping[str, AudioCache]

    def clip(self, example: Example) -> Samples:
        return self.audio.get(example.corpus, self.audio[""]).clip(example.key)


@dataclass(frozen=True, slots=True)
class DistillationTask:
    """Distillation as a `trainer.Task`."""

    module: DistillationModule
    data: DistillationData
    teacher: WhisperTeacher
    normalizer: StateNormalizer
    settings: DistillationSettings
    seed: int

    def parameter_groups(self) -> list[dict[str, object]]:
        return [{"params": list(self.module.parameters()), "lr": self.settings.learning_rate}]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        """At most `clips_per_corpus` of every corpus: of a larger one, others in every epoch."""
        rng = np.random.default_rng([self.seed, 3, epoch])
        drawn: list[int] = []
        for corpus in sorted({example.corpus for example in self.data.train}):
            rows = [row for row, example in enumerate(self.data.train) if example.corpus == corpus]
            drawn += rng.permutation(rows)[: self.settings.clips_per_corpus].tolist()
        lengths = [len(self.data.clip(self.data.train[row])) for row in drawn]
        return [
            [drawn[index] for index in batch]
            for batch in length_grouped_batches(lengths, self.settings.batch, rng)
        ]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> DistillationBatch:
        """Runs in one process, so every item is in the loss."""
        clean, corrupted = [], []
        for item in items:
            example = self.data.train[item]
            rng = example_rng(self.seed, epoch, example.key)
            clip = augmented_clip(self.data.clip(example), self.settings, rng)
            clean.append(clip)
            corrupted.append(distort(clip, rng) if rng.random() < self.settings.corrupted else clip)
        return distillation_batch(
            clean, corrupted, self.teacher, self.normalizer, self.module.encoder.waveform_spec
        )

    def validate(self, process: int, processes: int) -> list[dict[str, float]]:
        """The loss on whole, clean clips, one by one."""
        found = []
        with torch.inference_mode():
            for example in self.data.validation[process::processes]:
                clip = _whole_frames(self.data.clip(example)[: 10 * SAMPLE_RATE_HZ])
                losses = self.module(
                    distillation_batch(
                        [clip], [clip], self.teacher, self.normalizer, self.module.encoder.waveform_spec
                    )
                )
                found.append({name: float(value) for name, value in losses.items()})
        return found

    def metrics(self, predictions: Sequence[Any]) -> dict[str, float]:
        """The negative loss as `agreement`: higher is better."""
        means = {name: float(np.mean([losses[name] for losses in predictions])) for name in predictions[0]}
        return {"agreement": -means.pop("loss")} | means


def distillation_batch(
    clean: Sequence[Samples],
    corrupted: Sequence[Samples],
    teacher: WhisperTeacher,
    normalizer: StateNormalizer,
    waveform_spec: WaveformSpec,
) -> DistillationBatch:
    """clean: input of the teacher; corrupted: input of the student, of the same lengths."""
    states, mask = teacher.states(clean)
    # Cloned out of inference mode, so that autograd accepts them as targets.
    targets = normalizer.normalize(states.clone())
    return DistillationBatch(collate_audio(corrupted, waveform_spec), targets, mask.clone())


def augmented_clip(samples: Samples, settings: DistillationSettings, rng: np.random.Generator) -> Samples:
    """Random speed and voice, cropped to a window of at most `max_seconds`."""
    samples = resample_speed(samples, float(np.exp(rng.uniform(-settings.speed, settings.speed))))
    if rng.random() < settings.voice:
        samples, _ = random_pitch_and_tempo(samples, rng)
    limit = int(settings.max_seconds * SAMPLE_RATE_HZ)
    if len(samples) > limit:
        start = int(rng.integers(0, len(samples) - limit + 1))
        samples = samples[start : start + limit]
    return _whole_frames(samples)


def _whole_frames(samples: Samples) -> Samples:
    whole = samples[: len(samples) // FRAME * FRAME]
    return np.pad(whole, (0, max(0, _SHORTEST - len(whole))))


def fit_state_normalizer(
    data: DistillationData, teacher: WhisperTeacher, settings: DistillationSettings, seed: int
) -> StateNormalizer:
    """Fitted on training clips only, in the proportion of the corpora in training."""
    rng = np.random.default_rng([seed, 5])
    corpora = sorted({example.corpus for example in data.train})
    batches = []
    for corpus in corpora:
        part = [example for example in data.train if example.corpus == corpus]
        rows = rng.permutation(len(part))[: _SCALE_CLIPS // len(corpora)]
        clips = [augmented_clip(data.clip(part[row]), settings, rng) for row in rows]
        batches += [teacher.states(clips[start : start + 16]) for start in range(0, len(clips), 16)]
    return StateNormalizer.fit(batches)


def _cached_normalizer(
    data: DistillationData, teacher: WhisperTeacher, settings: DistillationSettings, seed: int, file: Path
) -> StateNormalizer:
    """From `file`, where an earlier start of this run wrote it."""
    cached = load_if_complete(file)
    if cached is not None:
        return StateNormalizer(cached["mean"], cached["deviation"])
    normalizer = fit_state_normalizer(data, teacher, settings, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_atomically({"mean": normalizer.mean, "deviation": normalizer.deviation}, file)
    return normalizer


def distill_audio_encoder(
    model: EmotionModel,
    data: DistillationData,
    teacher: WhisperTeacher,
    settings: DistillationSettings,
    seed: int,
    runtime: Runtime,
) -> History:
    """Trains `model.audio_encoder` in place; resumes from `runtime.folder`."""
    torch.manual_seed(seed)
    layers = len(settings.teacher_layers)
    module = DistillationModule(model.audio_encoder, layers, teacher.width, settings.clip_weight)
    normalizer = _cached_normalizer(data, teacher, settings, seed, runtime.folder / "normalizer.pt")
    task = DistillationTask(module, data, teacher, normalizer, settings, seed)
    trainer = TrainerSettings(
        loader_workers=0,  # a batch takes the teacher's pass, which needs the same cores
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        warmup=settings.warmup,
        weight_decay=0.01,
        patience=0,
        keep="last",
    )
    return fit(task, trainer, seed, runtime)
