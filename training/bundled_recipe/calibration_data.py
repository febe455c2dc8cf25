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

from ..augmentation.waveform import distort, pad_silence
from ..corpora.example import Example
from ..data.audio_cache import AudioCache
from ..evaluation.calibrate import fit_pattern, fit_prior, fit_temperature
from ..run_log import Log
from ..trainer.seeding import example_rng
from .pairs import PairSampler

_NEUTRAL_SHARE = 0.4
"""Much of what people say in anger is worded plainly; without such pairs the words would always win. By the
validation speakers of six folds: between 0.3 and 0.5 a neutral sentence's gain stays within 0.3 points, and
less leaves more to words that tell."""

Heard = tuple[Samples | None, str | None, int]
"""Sound, the text it is paired with, and the true label."""


def calibrate(
    model: EmotionModel,
    tokenizer: Tokenizer,
    clips: tuple[Sequence[Example], AudioCache],
    lines: Sequence[Example],
    pairing: PairSampler,
    seed: int,
    log: Log,
) -> None:
    """Writes late weights, temperatures and the words' prior into `model.config`.

    clips, lines, pairing: validation only.

    Sound without words is left to the audio-only head: what early fusion makes of it, it makes of less, and
    the figures of that head are then those of the pattern.
    """
    rng = np.random.default_rng([seed, 4])
    labels = model.config.label2id
    heard = _clips(*clips, seed)
    alone: list[Heard] = [(samples, None, labels[example.emotion]) for example, samples in heard]
    paired: list[Heard] = []
    for example, samples in heard:
        draw = pairing.neutral if rng.random() < _NEUTRAL_SHARE else pairing.matched
        paired.append((samples, draw(example, rng).text, labels[example.emotion]))
    read: list[Heard] = [(None, line.words, labels[line.emotion]) for line in _balanced(lines, rng)]
    for pattern, items in (("text", read), ("audio", alone), ("both", paired)):
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


def _clips(dev: Sequence[Example], sounds: AudioCache, seed: int) -> list[tuple[Example, Samples]]:
    """Each clip clean and harmed; a corpus with fewer clips is repeated toward the largest."""
    corpora = sorted({example.corpus for example in dev})
    parts = [[example for example in dev if example.corpus == corpus] for corpus in corpora]
    clips = []
    for part in parts:
        for turn in range(max(1, round(max(map(len, parts)) / len(part)))):
            for example in part:
                rng = example_rng(seed, turn, example.key)
                samples = sounds.clip(example.key)
                clips.append((example, samples))
                clips.append((example, distort(pad_silence(samples, rng)[0], rng)))
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
    """In the order of `items`; like lengths go through the model together."""
    model.eval()
    order = sorted(range(len(items)), key=lambda row: 0 if items[row][0] is None else len(items[row][0]))  # type: ignore[arg-type]
    found: dict[int, dict[str, Tensor]] = {}
    for start in range(0, len(order), 16):
        rows = order[start : start + 16]
        audio = collate_audio([items[row][0] for row in rows], model.audio_encoder.waveform_spec)
        text = collate_text([items[row][1] for row in rows], tokenizer, model.config.max_tokens)
        logits = model(audio, text).logits()
        for place, row in enumerate(rows):
            found[row] = {head: values[place] for head, values in logits.items()}
    heads = {head: torch.stack([found[row][head] for row in range(len(items))]) for head in found[0]}
    return heads, torch.tensor([label for *_, label in items])
