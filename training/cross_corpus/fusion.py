"""Early fusion and calibration on the cached states: pairs of a clip and a text, as in `distillation`.

The head, both encoders and the text-only head stay as they are. Texts come from corpora of text, as no corpus
here has emotional sound and emotional words together; most clips of the calibration get a text that
says nothing, so that words which say nothing do not outvote the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from emostream.models import LABELS, Alignment
from emostream.models.collate import collate_text
from emostream.models.emotion import EmotionModel, EncodedModality

from ..corpora.example import Example
from ..data.frozen_features import FrozenFeatures, View
from ..evaluation.calibrate import fit_pattern, fit_prior, fit_temperature
from ..run_log import RunLog
from ..trainer.log_callback import LogCallback
from ..trainer.runtime import Runtime, make_accelerator
from ..trainer.seeding import example_rng
from .clips import SpeechClip
from .early_fusion import FusionData, train_fusion
from .folds import RecipeContext
from .pairs import PairSampler
from .projected import encode_states
from .states import Views

_NEUTRAL_SHARE: Final = 0.8
_BATCH: Final = 32
_PER_CELL: Final = 60
"""Validation clips of each corpus and label that calibrate."""


@dataclass(frozen=True, slots=True)
class _PaddedFeatures(FrozenFeatures):
    """The views of the cache as `FusionTask` reads them: all states, those of other layers zero."""

    source: Views | None = None
    clips: dict[str, SpeechClip] | None = None
    count: int = 0

    def view(self, key: str, number: int) -> tuple[Tensor, Alignment]:
        assert self.source is not None
        assert self.clips is not None
        chosen = self.source.states(self.clips[key], number)
        padded = torch.zeros(self.count, *chosen.shape[1:], dtype=chosen.dtype)
        padded[list(self.source.layers)] = chosen
        return padded, Alignment()


@dataclass(frozen=True, slots=True)
class TextLines:
    """Lines of the four labels; words: substitutes for simulated recognition errors."""

    train: Sequence[Example]
    validation: Sequence[Example]
    words: Sequence[str]


def add_fusion(
    context: RecipeContext,
    model: EmotionModel,
    tokenizer: Tokenizer,
    train: Sequence[SpeechClip],
    validation: Sequence[SpeechClip],
    lines: TextLines,
    name: str,
) -> None:
    """Trains early fusion in place and calibrates all patterns. train, validation: with labels, as
    `fit_head`.
    """
    settings = context.settings
    samplers = [
        PairSampler(part, LABELS, lines.words, settings.fusion) for part in (lines.train, lines.validation)
    ]
    train = [clip for clip in train if clip.label >= 0]
    validation = _balanced([clip for clip in validation if clip.label >= 0])
    both = {clip.key: clip for clip in (*train, *validation)}
    features = _PaddedFeatures(
        np.zeros((0, 0, 0), np.float16),
        {key: _lengths(context.views, clip) for key, clip in both.items()},
        context.views,
        both,
        model.audio_encoder.states,
    )
    labels = {key: clip.label for key, clip in both.items()}
    data = FusionData(
        [replace(clip.example, key=clip.key) for clip in train],
        [replace(clip.example, key=clip.key) for clip in validation],
        features,
        labels,
        samplers[0],
        samplers[1],
        tokenizer,
    )
    accelerator = make_accelerator("no", cpu=True)
    runtime = Runtime(accelerator, context.work / "fusion" / name, LogCallback(context.log, f"fusion {name}"))
    if model.adapted_head is not None:
        model.adapted_head.requires_grad_(False)
    train_fusion(model, data, settings.fusion, settings.seed, runtime)
    model.eval()
    calibrate(model, tokenizer, context.views, validation, lines.validation, samplers[1], context.log)


def calibrate(
    model: EmotionModel,
    tokenizer: Tokenizer,
    views: Views,
    validation: Sequence[SpeechClip],
    lines: Sequence[Example],
    sampler: PairSampler,
    log: RunLog,
) -> None:
    """Writes late weights, temperatures and the text prior into the configuration; validation data only.

    The audio-only head decides alone where there are no words, with the temperature it has.
    """
    config = model.config
    text = [line.words for line in _even(lines)]
    logits, truth = _logits(model, None, text, tokenizer, views), _labels(_even(lines))
    config.text_prior = fit_prior(logits["text"], truth)
    fit_pattern(config, "text", logits, truth)
    config.temperatures["text"] = fit_temperature(logits["text"], truth)
    words = []
    for clip in validation:
        rng = example_rng(0, 0, clip.key)
        draw = sampler.neutral if rng.random() < _NEUTRAL_SHARE else sampler.matched
        words.append(draw(clip.example, rng).text)
    logits = _logits(model, validation, words, tokenizer, views)
    fit_pattern(config, "both", logits, torch.tensor([clip.label for clip in validation]))
    config.late_weights["audio"] = {head: float(head == "audio") for head in config.fused_heads("audio")}
    for pattern, weights in config.late_weights.items():
        log.line(f"calibration, {pattern}: { {head: round(weight, 3) for head, weight in weights.items()} }")
    log.line(f"temperatures: { {k: round(v, 3) for k, v in config.temperatures.items()} }")


@torch.inference_mode()
def _logits(
    model: EmotionModel,
    clips: Sequence[SpeechClip] | None,
    words: Sequence[str | None],
    tokenizer: Tokenizer,
    views: Views,
) -> dict[str, Tensor]:
    """Logits by head, in the order of `words`. clips: one for each, None: no sound."""
    found: dict[str, list[Tensor]] = {}
    for start in range(0, len(words), _BATCH):
        batch = collate_text(words[start : start + _BATCH], tokenizer, model.config.max_tokens)
        rows = len(batch.ids)
        sound = (
            _silence(model, rows)
            if clips is None
            else _encoded(model, [views.states(clip, 0) for clip in clips[start : start + _BATCH]])
        )
        for head, values in model.fuse(sound, model.encode_text(batch)).logits().items():
            found.setdefault(head, []).append(values)
    return {head: torch.cat(parts) for head, parts in found.items()}


def _encoded(model: EmotionModel, states: Sequence[Tensor]) -> EncodedModality:
    longest = max(clip.shape[1] for clip in states)
    padded = torch.zeros(len(states), states[0].shape[0], longest, states[0].shape[2])
    mask = torch.zeros(len(states), longest, dtype=torch.bool)
    for row, clip in enumerate(states):
        padded[row, :, : clip.shape[1]] = clip
        mask[row, : clip.shape[1]] = True
    return encode_states(model, padded, mask)


def _silence(model: EmotionModel, rows: int) -> EncodedModality:
    width = model.audio_encoder.hidden_size
    absent = torch.zeros(rows, 1, dtype=torch.bool)
    return EncodedModality(torch.zeros(rows, 1, width), absent, absent[:, 0])


def _lengths(views: Views, clip: SpeechClip) -> list[View]:
    return [
        View(0, views.caches[number][clip.corpus].clips[clip.key].frames, Alignment())
        for number in range(views.count(clip))
    ]


def _balanced(clips: Sequence[SpeechClip]) -> list[SpeechClip]:
    """At most so many of each corpus and label, drawn at random."""
    cells: dict[tuple[str, int], list[SpeechClip]] = {}
    for row in np.random.default_rng(0).permutation(len(clips)).tolist():
        cells.setdefault((clips[row].corpus, clips[row].label), []).append(clips[row])
    return [clip for cell in cells.values() for clip in cell[:_PER_CELL]]


def _even(lines: Sequence[Example]) -> list[Example]:
    """Equally many lines of every label: late fusion assumes an even prior."""
    cells = [[line for line in lines if line.emotion == label] for label in LABELS]
    count = min(400, *map(len, cells))
    rng = np.random.default_rng(0)
    return [cell[row] for cell in cells for row in rng.permutation(len(cell))[:count]]


def _labels(lines: Sequence[Example]) -> Tensor:
    return torch.tensor([LABELS.index(line.emotion) for line in lines])
