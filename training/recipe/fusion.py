"""Stage 3: heads and fusion on pairs, with a gentle pass over both encoders.

An exponential average of the weights is what the stage leaves behind: on a few thousand clips it is
steadier than any single epoch, and no epoch has to be chosen on held-out speakers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from emostream.models import SAMPLE_RATE_HZ, Alignment, Samples
from emostream.models.collate import collate_audio, collate_spans, collate_text
from emostream.models.emotion import EmotionModel, EmotionOutput
from emostream.models.encoders.choice import freeze

from ..augmentation.sound import change_speed, crop, distort, pad_silence, random_window
from ..corpora.example import OTHER, Example
from ..errors import SettingsError
from ..evaluation.metrics import unweighted_recall
from ..log import Log
from ..loop.schedule import one_cycle
from ..objectives.bce import pair_bce
from ..objectives.cross_entropy import soft_cross_entropy
from ..objectives.discriminator import CosineDiscriminator
from ..preparation.alignments import Alignments, moved
from ..preparation.sounds import Sounds
from .pairs import Pair, Pairing
from .settings import FusionSettings
from .snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class FusionData:
    """train: clips of training speakers only. dev: looked at after each epoch, nothing is chosen by it.

    alignments: of every clip with known words, where the model has granularities that need them.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    sounds: Sounds
    pairing: Pairing
    tokenizer: Tokenizer
    alignments: Alignments = field(default_factory=dict)


class Trainee(nn.Module):
    """The model, the discriminator that only training needs, and the running average of the model."""

    def __init__(self, model: EmotionModel, decay: float) -> None:
        super().__init__()
        self.model = model
        self.discriminator = CosineDiscriminator(model.config.width)
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))

    def averaged(self) -> EmotionModel:
        """The running average, in eval mode."""
        model = self.average.module
        assert isinstance(model, EmotionModel)
        model.eval()
        return model


def train_fusion(
    model: EmotionModel, data: FusionData, settings: FusionSettings, seed: int, file: Path, log: Log
) -> EmotionModel:
    """Trains in place and returns the averaged model; resumes after the last epoch."""
    torch.manual_seed(seed)
    _freeze(model, settings)
    clips = [example for example in data.train if example.emotion != OTHER]
    trainee = Trainee(model, settings.average_decay)
    optimizer = torch.optim.AdamW(_groups(trainee, settings), weight_decay=0.02)
    per_epoch = len(list(_batches(clips, settings, np.random.default_rng(seed))))
    schedule = one_cycle(optimizer, per_epoch * settings.epochs, 0.1)
    snapshot = Snapshot(file, trainee, optimizer, schedule)
    for epoch in range(snapshot.restore(), settings.epochs):
        torch.manual_seed(1000 * seed + epoch)
        trainee.train()
        rng = np.random.default_rng([seed, 3, epoch])
        total, steps = 0.0, 0
        for batch in _batches(clips, settings, rng):
            pairs = [data.pairing.draw(example, rng) for example in batch]
            loss = fusion_loss(trainee, pairs, _output(model, pairs, data, settings, rng), settings)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            trainee.average.update_parameters(model)
            total, steps = total + loss.item(), steps + 1
        recalls = audio_recalls(trainee.averaged(), data)
        log.line(f"fusion {epoch + 1}/{settings.epochs}: loss {total / steps:.3f} | dev UA {recalls}")
        snapshot.save(epoch + 1)
    return trainee.averaged()


@torch.inference_mode()
def audio_recalls(model: EmotionModel, data: FusionData) -> dict[str, float]:
    """corpus -> mean recall of the audio-only head over the validation clips, to the third digit."""
    model.eval()
    labels = model.config.label2id
    recalls: dict[str, float] = {}
    for corpus in sorted({example.corpus for example in data.dev}):
        part = [e for e in data.dev if e.corpus == corpus and e.emotion in labels]
        guesses: list[int] = []
        for start in range(0, len(part), 16):
            clips = [data.sounds.clip(example.key) for example in part[start : start + 16]]
            audio = model.encode_audio(collate_audio(clips, model.audio_encoder.waveform))
            guesses += model.audio_head(model.audio_pool(audio.features, audio.mask)).argmax(1).tolist()
        truth = [labels[example.emotion] for example in part]
        recalls[corpus] = round(unweighted_recall(truth, guesses), 3)
    return recalls


def fusion_loss(
    trainee: Trainee, pairs: Sequence[Pair], output: EmotionOutput, settings: FusionSettings
) -> Tensor:
    """(1 - alpha) (CE of every head there is) + alpha (BCE over the batch's audio/text pairs)."""
    classes = output.audio.shape[1]
    targets = {
        "early": torch.tensor([pair.target for pair in pairs]),
        "audio": _one_hot([pair.audio_label for pair in pairs], classes),
        "text": _one_hot([pair.text_label for pair in pairs], classes),
    }
    entropy = torch.stack(
        [
            soft_cross_entropy(logits, targets[head], settings.label_smoothing)
            for head, logits in output.logits().items()
        ]
    ).sum()
    heard = [row for row, pair in enumerate(pairs) if pair.audio_label is not None]
    read = [row for row, pair in enumerate(pairs) if pair.text_label is not None]
    scores = trainee.discriminator(output.audio_code[heard], output.text_code[read])
    contrast = pair_bce(
        scores,
        torch.tensor([pairs[row].audio_label for row in heard]),
        torch.tensor([pairs[row].text_label for row in read]),
    )
    return (1.0 - settings.contrastive_alpha) * entropy + settings.contrastive_alpha * contrast


def _output(
    model: EmotionModel,
    pairs: Sequence[Pair],
    data: FusionData,
    settings: FusionSettings,
    rng: np.random.Generator,
) -> EmotionOutput:
    clips: list[Samples | None] = []
    places: list[Alignment] = []
    for pair in pairs:
        samples, place = None, Alignment()
        if pair.example is not None:
            if pair.text is not None:  # without words nobody knows where they lie, in serving too
                place = data.alignments.get(pair.example.key, place)
            samples, place = heard(data.sounds.clip(pair.example.key), place, settings, rng)
        clips.append(samples)
        places.append(place)
    audio = collate_audio(clips, model.audio_encoder.waveform)
    text = collate_text([pair.text for pair in pairs], data.tokenizer, model.config.max_tokens)
    output: EmotionOutput = model(audio, text, collate_spans(places, model.config.spans))
    return output


def heard(
    samples: Samples, alignment: Alignment, settings: FusionSettings, rng: np.random.Generator
) -> tuple[Samples, Alignment]:
    """The clip as a microphone, a room and a segmenter might have left it, and its words moved along."""
    factor, front = 1.0, 0
    if rng.random() < 0.5:
        samples, factor = change_speed(samples, rng)
    start, length = random_window(samples, int(settings.max_seconds * SAMPLE_RATE_HZ), 1, rng)
    samples = crop(samples, start, length)
    if rng.random() < 0.3:
        samples, front = pad_silence(samples, rng)
    return distort(samples, rng), moved(alignment, factor, front - start)


def _one_hot(labels: Sequence[int | None], classes: int) -> Tensor:
    rows = torch.zeros(len(labels), classes)
    for row, label in enumerate(labels):
        if label is not None:
            rows[row, label] = 1.0
    return rows


def _freeze(model: EmotionModel, settings: FusionSettings) -> None:
    try:
        freeze(model.audio_encoder, settings.audio_frozen)
        freeze(model.text_encoder, settings.text_frozen)
    except ValueError as error:  # more layers than the encoder has
        raise SettingsError(f"audio_frozen, text_frozen: {error}") from error


def _groups(trainee: Trainee, settings: FusionSettings) -> list[dict[str, object]]:
    encoders = [*trainee.model.audio_encoder.parameters(), *trainee.model.text_encoder.parameters()]
    slow = {id(parameter) for parameter in encoders}
    averaged = {id(parameter) for parameter in trainee.average.parameters()}
    fast = [p for p in trainee.parameters() if id(p) not in slow and id(p) not in averaged]
    return [
        {"params": fast, "lr": settings.learning_rate},
        {"params": [p for p in encoders if p.requires_grad], "lr": settings.encoder_rate},
    ]


def _batches(
    clips: Sequence[Example], settings: FusionSettings, rng: np.random.Generator
) -> Iterator[list[Example]]:
    """Each epoch every (corpus, label) cell gives `cell_clips`, a smaller one repeated up to `max_repeat`
    times; a larger one takes turns.
    """
    cells: dict[tuple[str, str], list[Example]] = {}
    for clip in clips:
        cells.setdefault((clip.corpus, clip.emotion), []).append(clip)
    drawn: list[Example] = []
    for cell in cells.values():
        wanted = min(settings.cell_clips, settings.max_repeat * len(cell))
        order = np.concatenate([rng.permutation(len(cell)) for _ in range(-(-wanted // len(cell)))])
        drawn += [cell[index] for index in order[:wanted]]
    order = rng.permutation(len(drawn))
    for start in range(0, len(order), settings.batch):
        yield [drawn[index] for index in order[start : start + settings.batch]]
