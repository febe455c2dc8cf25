"""What the calibration is fitted on: validation clips, clean and harmed, with and without words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from emostream.models import Alignment, Samples
from emostream.models.collate import collate_audio, collate_spans, collate_text
from emostream.models.emotion import EmotionModel

from ..augmentation.sound import distort, pad_silence
from ..corpora.example import OTHER, Example
from ..evaluation.calibrate import fit_pattern, fit_temperature
from ..log import Log
from ..preparation.alignments import moved
from .fusion import FusionData

_NEUTRAL_SHARE = 0.5
"""Half of what people say in anger is worded plainly; without such pairs the words would always win."""

Heard = tuple[Samples | None, Alignment, str | None, int]
"""Sound, where its words lie, the words it is paired with, and the true label."""


def calibrate(model: EmotionModel, data: FusionData, lines: Sequence[Example], seed: int, log: Log) -> None:
    """Writes late weights and temperatures into `model.config`. data.dev, pairing, lines: validation only."""
    rng = np.random.default_rng([seed, 4])
    clips = _clips(data, rng)
    labels = model.config.label2id
    nowhere = Alignment()
    # Without words nobody knows where they lie, in serving too.
    alone: list[Heard] = [(samples, nowhere, None, labels[example.emotion]) for example, samples, _ in clips]
    paired: list[Heard] = []
    for example, samples, places in clips:
        draw = data.pairing.neutral if rng.random() < _NEUTRAL_SHARE else data.pairing.matched
        paired.append((samples, places, draw(example, rng).text, labels[example.emotion]))
    read: list[Heard] = [(None, nowhere, line.words, labels[line.emotion]) for line in _balanced(lines, rng)]
    for pattern, items in (("audio", alone), ("both", paired), ("text", read)):
        logits, truth = _logits(model, items, data.tokenizer)
        fit_pattern(model.config, pattern, logits, truth)
        if pattern != "both":
            model.config.temperatures[pattern] = fit_temperature(logits[pattern], truth)
        weights = {head: round(weight, 3) for head, weight in model.config.late_weights[pattern].items()}
        log.line(f"calibration, {pattern}: weights {weights}")
    log.line(f"temperatures: { {k: round(v, 3) for k, v in model.config.temperatures.items()} }")


def _clips(data: FusionData, rng: np.random.Generator) -> list[tuple[Example, Samples, Alignment]]:
    """Each clip clean and harmed; a corpus with fewer clips is repeated toward the largest."""
    dev = [example for example in data.dev if example.emotion != OTHER]
    corpora = sorted({example.corpus for example in dev})
    parts = [[example for example in dev if example.corpus == corpus] for corpus in corpora]
    clips = []
    for part in parts:
        for example in part * max(1, round(max(map(len, parts)) / len(part))):
            samples, places = data.sounds.clip(example.key), data.alignments.get(example.key, Alignment())
            padded, front = pad_silence(samples, rng)
            clips.append((example, samples, places))
            clips.append((example, distort(padded, rng), moved(places, 1.0, front)))
    return clips


def _balanced(lines: Sequence[Example], rng: np.random.Generator) -> list[Example]:
    """As many lines of every label: late fusion assumes an even prior."""
    cells = [
        [line for line in lines if line.emotion == label] for label in sorted({x.emotion for x in lines})
    ]
    count = min(map(len, cells))
    return [cell[row] for cell in cells for row in rng.permutation(len(cell))[:count]]


@torch.no_grad()
def _logits(
    model: EmotionModel, items: Sequence[Heard], tokenizer: Tokenizer
) -> tuple[dict[str, Tensor], Tensor]:
    model.eval()
    rows: list[dict[str, Tensor]] = []
    for start in range(0, len(items), 16):
        sounds, places, texts, _ = zip(*items[start : start + 16], strict=True)
        audio = collate_audio(sounds, model.audio_encoder.waveform)
        text = collate_text(texts, tokenizer, model.config.max_tokens)
        rows.append(model(audio, text, collate_spans(places, model.config.spans)).logits())
    heads = {head: torch.cat([row[head] for row in rows]) for head in rows[0]}
    return heads, torch.tensor([label for *_, label in items])
