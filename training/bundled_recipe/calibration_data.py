"""Fits the calibration on validation clips, clean and corrupted, with and without text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from emostream.models import Samples
from emostream.models.collate import collate_audio, collate_text
from emostream.models.emotion import EmotionModel

from ..augmentation.waveform import distort, random_silence
from ..corpora.example import Example
from ..data.audio_cache import AudioCache
from ..evaluation.calibrate import fit_pattern, fit_prior, fit_temperature
from ..run_log import RunLog
from ..trainer.seeding import example_rng
from .pairs import PairSampler

_NEUTRAL_SHARE = 0.4
"""Much angry speech has plain wording; without such pairs the text would always win. On the validation
speakers of six folds: between 0.3 and 0.5 a neutral sentence's gain stays within 0.3 points, and less gives
more weight to emotional wording."""

CalibrationItem = tuple[Samples | None, str | None, int]
"""Audio, the text it is paired with, and the true label."""


def calibrate(
    model: EmotionModel,
    tokenizer: Tokenizer,
    clips: tuple[Sequence[Example], AudioCache],
    lines: Sequence[Example],
    sampler: PairSampler,
    seed: int,
    log: RunLog,
) -> None:
    """Writes late weights, temperatures and the text prior into `model.config`.

    clips, lines, pairing: validation only.

    Audio without text is left to the audio-only head: early fusion has less information for it, and the
    metrics of that head are then those of the pattern.
    """
    rng = np.random.default_rng([seed, 4])
    labels = model.config.label2id
    labelled_clips = _clips(*clips, seed)
    audio_only: list[CalibrationItem] = [
        (samples, None, labels[example.emotion]) for example, samples in labelled_clips
    ]
    paired: list[CalibrationItem] = []
    for example, samples in labelled_clips:
        draw = sampler.neutral if rng.random() < _NEUTRAL_SHARE else sampler.matched
        paired.append((samples, draw(example, rng).text, labels[example.emotion]))
    text_only: list[CalibrationItem] = [
        (None, line.words, labels[line.emotion]) for line in _balanced(lines, rng)
    ]
    for pattern, items in (("text", text_only), ("audio", audio_only), ("both", paired)):
        logits, truth = _logits(model, items, tokenizer)
        if pattern == "text":
            model.config.text_prior = fit_prior(logits["text"], truth)
        fit_pattern(model.config, pattern, logits, truth)
        if pattern != "both":
            model.config.temperatures[pattern] = fit_temperature(logits[pattern], truth)
        weights = {head: round(weight, 3) for head, weight in model.config.late_weights[pattern].items()}
        log.line(f"calibration, {pattern}: weights {weights}")
    model.config.late_weights["audio"] = {
        head: float(head == "audio") for head in model.config.fused_heads("audio")
    }
    model.config.temperatures["fused_audio"] = model.config.temperatures["audio"]
    assert model.config.text_prior is not None
    log.line(f"text prior: {[round(share, 3) for share in model.config.text_prior]}")
    log.line(f"temperatures: { {k: round(v, 3) for k, v in model.config.temperatures.items()} }")


def _clips(validation: Sequence[Example], sounds: AudioCache, seed: int) -> list[tuple[Example, Samples]]:
    """Each clip clean and corrupted; a corpus with fewer clips is repeated toward the size of the largest."""
    corpora = sorted({example.corpus for example in validation})
    parts = [[example for example in validation if example.corpus == corpus] for corpus in corpora]
    clips = []
    for part in parts:
        for turn in range(max(1, round(max(map(len, parts)) / len(part)))):
            for example in part:
                rng = example_rng(seed, turn, example.key)
                samples = sounds.clip(example.key)
                clips.append((example, samples))
                clips.append((example, distort(random_silence(samples, rng)[0], rng)))
    return clips


def _balanced(lines: Sequence[Example], rng: np.random.Generator) -> list[Example]:
    """Equally many lines of every label: late fusion assumes an even prior."""
    cells = [
        [line for line in lines if line.emotion == label] for label in sorted({x.emotion for x in lines})
    ]
    count = min(map(len, cells))
    return [cell[row] for cell in cells for row in rng.permutation(len(cell))[:count]]


@torch.no_grad()
def _logits(
    model: EmotionModel, items: Sequence[CalibrationItem], tokenizer: Tokenizer
) -> tuple[dict[str, Tensor], Tensor]:
    """Logits by head and true labels, in the order of `items`; batches hold similar lengths."""
    model.eval()
    order = sorted(range(len(items)), key=lambda row: 0 if items[row][0] is None else len(items[row][0]))  # type: ignore[arg-type]
    by_row: dict[int, dict[str, Tensor]] = {}
    for start in range(0, len(order), 16):
        rows = order[start : start + 16]
        audio = collate_audio([items[row][0] for row in rows], model.audio_encoder.waveform_spec)
        text = collate_text([items[row][1] for row in rows], tokenizer, model.config.max_tokens)
        logits = model(audio, text).logits()
        for position, row in enumerate(rows):
            by_row[row] = {head: values[position] for head, values in logits.items()}
    heads = {head: torch.stack([by_row[row][head] for row in range(len(items))]) for head in by_row[0]}
    return heads, torch.tensor([label for *_, label in items])
