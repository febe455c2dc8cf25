"""What the calibration is fitted on: validation clips, clean and harmed, with and without words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from emostream.models import Samples
from emostream.models.collate import collate_audio, collate_text
from emostream.models.emotion import EmotionModel

from .augment import distort, pad_silence
from .calibrate import fit_pattern, fit_temperature
from .corpora import Example, TextLine
from .log import Log
from .pairs import Pairing
from .sounds import Sounds

_NEUTRAL_SHARE = 0.5
"""Half of what people say in anger is worded plainly; without such pairs the words would always win."""

Heard = tuple[Samples | None, str | None, int]
"""Sound, words and the true label."""


def calibrate(
    model: EmotionModel,
    dev: Sequence[Example],
    sounds: Sounds,
    lines: Sequence[TextLine],
    pairing: Pairing,
    tokenizer: Tokenizer,
    seed: int,
    log: Log,
) -> None:
    """Writes late weights and temperatures into `model.config`. dev, lines: validation only."""
    rng = np.random.default_rng([seed, 4])
    clips = _clips(dev, sounds, rng)
    labels = model.config.label2id
    alone: list[Heard] = [(samples, None, labels[example.emotion]) for example, samples in clips]
    paired: list[Heard] = []
    for example, samples in clips:
        draw = pairing.neutral if rng.random() < _NEUTRAL_SHARE else pairing.matched
        paired.append((samples, draw(example, rng).text, labels[example.emotion]))
    read: list[Heard] = [(None, line.text, labels[line.emotion]) for line in _balanced(lines, rng)]
    for pattern, items in (("audio", alone), ("both", paired), ("text", read)):
        logits, truth = _logits(model, items, tokenizer)
        fit_pattern(model.config, pattern, logits, truth)
        if pattern != "both":
            model.config.temperatures[pattern] = fit_temperature(logits[pattern], truth)
        weights = {head: round(weight, 3) for head, weight in model.config.late_weights[pattern].items()}
        log.line(f"calibration, {pattern}: weights {weights}")
    log.line(f"temperatures: { {k: round(v, 3) for k, v in model.config.temperatures.items()} }")


def _clips(dev: Sequence[Example], sounds: Sounds, rng: np.random.Generator) -> list[tuple[Example, Samples]]:
    """Each clip clean and harmed; a corpus with fewer clips is repeated toward the largest."""
    corpora = sorted({example.corpus for example in dev})
    parts = [[example for example in dev if example.corpus == corpus] for corpus in corpora]
    clips = []
    for part in parts:
        for example in part * max(1, round(max(map(len, parts)) / len(part))):
            samples = sounds.clip(example.path)
            clips += [(example, samples), (example, distort(pad_silence(samples, rng), rng))]
    return clips


def _balanced(lines: Sequence[TextLine], rng: np.random.Generator) -> list[TextLine]:
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
        sounds, texts, _ = zip(*items[start : start + 16], strict=True)
        audio = collate_audio(sounds, model.audio_encoder.waveform)
        rows.append(model(audio, collate_text(texts, tokenizer, model.config.max_tokens)).logits())
    heads = {head: torch.cat([row[head] for row in rows]) for head in rows[0]}
    return heads, torch.tensor([label for *_, label in items])
