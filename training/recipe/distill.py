"""Stage 1: the audio student learns Whisper's frames, and on the side which emotion was acted.

The student hears a cut and distorted clip; the targets are the teacher's states of the clean one at the
same place. Student frame t is centred 40 samples from teacher frame t + 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emostream.models import SAMPLE_RATE_HZ
from emostream.models.collate import AudioBatch, collate_audio
from emostream.models.emotion import EmotionModel

from ..augmentation.sound import crop, distort, random_window
from ..corpora.example import Example
from ..log import Log
from ..loop.schedule import one_cycle
from ..preparation.sounds import FRAME, Sounds
from .settings import DistilSettings
from .snapshot import Snapshot
from .teacher import TeacherStates


@dataclass(frozen=True, slots=True)
class DistilBatch:
    """targets: (B, T, L D) standardised teacher states; whole: (B, 2 L D) of each clip as a whole;
    classes: (B,) acted emotion of a corpus.
    """

    audio: AudioBatch
    targets: Tensor
    whole: Tensor
    classes: Tensor


class DistilHeads(nn.Module):
    """Student and what is thrown away afterwards: the map to the teacher's width, and the classifier."""

    def __init__(self, model: EmotionModel, teacher_width: int, classes: int) -> None:
        super().__init__()
        width = model.config.audio_config.hidden_size
        self.encoder = model.audio_encoder
        self.pool = model.audio_pool
        self.to_teacher = nn.Linear(width, teacher_width)
        self.to_whole = nn.Linear(2 * width, 2 * teacher_width)
        self.to_class = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, classes))

    def losses(self, batch: DistilBatch) -> Tensor:
        """(3,): squared error of frames, of clips as a whole (1 is what the mean gets), cross entropy."""
        states, mask = self.encoder.layers(batch.audio.samples, batch.audio.mask)
        mixed = self.encoder.mix(states)
        frames = (self.to_teacher(states[-1])[mask] - batch.targets[:, : mask.shape[1]][mask]).square().mean()
        whole = (self.to_whole(_statistics(mixed, mask)) - batch.whole).square().mean()
        logits = self.to_class(self.pool(mixed, mask))
        entropy = nn.functional.cross_entropy(logits, batch.classes, label_smoothing=0.1)
        return torch.stack([frames, whole, entropy])


def _statistics(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) -> (B, 2 D): mean and standard deviation over the valid frames."""
    share = mask[..., None] / mask.sum(1)[:, None, None]
    mean = (share * x).sum(1)
    variance = (share * (x - mean[:, None]) ** 2).sum(1)
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


@dataclass(frozen=True, slots=True)
class DistilData:
    """train may hold only training speakers; dev is looked at, never learned from."""

    train: Sequence[Example]
    dev: Sequence[Example]
    sounds: Sounds
    teacher: TeacherStates


def distil(
    model: EmotionModel, data: DistilData, settings: DistilSettings, seed: int, file: Path, log: Log
) -> None:
    """Trains `model.audio_encoder` and `model.audio_pool` in place; resumes after the last epoch."""
    names = sorted({f"{example.corpus}/{example.emotion_orig}" for example in data.train})
    classes = {name: index for index, name in enumerate(names)}
    torch.manual_seed(seed)
    # Not in training mode: dropout costs an eighth of the time, and the frames are targets enough.
    heads = DistilHeads(model, len(data.teacher.mean), len(names)).eval()
    optimizer = torch.optim.AdamW(
        heads.parameters(), lr=settings.learning_rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    weights = torch.tensor([1.0, settings.whole_weight, settings.label_weight])
    rng = np.random.default_rng(seed)
    per_epoch = len(list(_groups(_drawn(data.train, settings, rng), data.sounds, settings, rng)))
    schedule = one_cycle(optimizer, per_epoch * settings.epochs, settings.warmup)
    snapshot = Snapshot(file, heads, optimizer, schedule)
    for epoch in range(snapshot.restore(), settings.epochs):
        torch.manual_seed(1000 * seed + epoch)
        rng = np.random.default_rng([seed, epoch])
        losses = []
        for group in _groups(_drawn(data.train, settings, rng), data.sounds, settings, rng):
            parts = heads.losses(_batch(group, data, settings, classes, rng, model))
            optimizer.zero_grad()
            (parts * weights).sum().backward()
            nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(parts.detach())
            if len(losses) % 100 == 0:
                log.line(f"distil {epoch + 1}, batch {len(losses)}: {_shown(torch.stack(losses[-100:]))}")
        dev = _dev_losses(heads, data, settings, classes, model)
        log.line(f"distil {epoch + 1}/{settings.epochs}: {_shown(torch.stack(losses))} | dev {_shown(dev)}")
        snapshot.save(epoch + 1)


def _drawn(examples: Sequence[Example], settings: DistilSettings, rng: np.random.Generator) -> list[Example]:
    """Each epoch at most `clips_per_corpus` of every corpus: the larger one takes turns."""
    drawn: list[Example] = []
    for corpus in sorted({example.corpus for example in examples}):
        part = [example for example in examples if example.corpus == corpus]
        drawn += [part[row] for row in rng.permutation(len(part))[: settings.clips_per_corpus]]
    return drawn


def _groups(
    examples: Sequence[Example], sounds: Sounds, settings: DistilSettings, rng: np.random.Generator
) -> Iterator[list[Example]]:
    """Clips of like length together, batches in random order: little padding, little order."""
    lengths = [sounds.spans[example.key][1] - sounds.spans[example.key][0] for example in examples]
    order = np.argsort(np.array(lengths) * rng.uniform(0.9, 1.1, len(lengths)))
    size = max(1, round(settings.batch_seconds * SAMPLE_RATE_HZ / max(1.0, float(np.mean(lengths)))))
    starts = rng.permutation(np.arange(0, len(order), size))
    for start in starts:
        yield [examples[index] for index in order[start : start + size]]


def _batch(
    group: Sequence[Example],
    data: DistilData,
    settings: DistilSettings,
    classes: dict[str, int],
    rng: np.random.Generator | None,
    model: EmotionModel,
) -> DistilBatch:
    """rng None: whole clips, undistorted."""
    clips, starts = [], []
    limit = int(settings.max_seconds * SAMPLE_RATE_HZ)
    for example in group:
        samples = data.sounds.clip(example.key)
        start, length = (
            (0, min(len(samples), limit)) if rng is None else random_window(samples, limit, FRAME, rng)
        )
        cut = crop(samples, start, length)
        clips.append(cut if rng is None else distort(cut, rng))
        starts.append(start // FRAME + 1)
    frames = max(map(len, clips)) // FRAME + 1
    places = list(zip(group, starts, clips, strict=True))
    targets = [data.teacher.window(example.key, start, frames) for example, start, _ in places]
    whole = [
        data.teacher.whole(target[: max(1, len(clip) // FRAME)])
        for target, clip in zip(targets, clips, strict=True)
    ]
    return DistilBatch(
        collate_audio(clips, model.audio_encoder.waveform),
        torch.from_numpy(np.stack(targets)),
        torch.from_numpy(np.stack(whole)),
        torch.tensor([classes[f"{example.corpus}/{example.emotion_orig}"] for example in group]),
    )


@torch.no_grad()
def _dev_losses(
    heads: DistilHeads,
    data: DistilData,
    settings: DistilSettings,
    classes: dict[str, int],
    model: EmotionModel,
) -> Tensor:
    return torch.stack(
        [
            heads.losses(_batch(data.dev[start : start + 32], data, settings, classes, None, model))
            for start in range(0, len(data.dev), 32)
        ]
    )


def _shown(losses: Tensor) -> str:
    frames, whole, entropy = losses.mean(0).tolist()
    return f"frames {frames:.3f} whole {whole:.3f} ce {entropy:.3f}"
