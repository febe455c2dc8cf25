"""Adapts a checkpoint to clips of one's own, and says what that gave."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from emostream.models.calibration import fused_posterior
from emostream.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emostream.models.config import EmotionConfig

from ..corpora.example import CorpusError, Example
from ..evaluation.bootstrap import Estimate, pooled_interval
from ..evaluation.calibrate import fit_temperature
from ..evaluation.classify import true_label
from ..evaluation.predictions import FoldPredictions
from ..probe.crossvalidation import ProbeData, fit_probe
from ..probe.pooling import PooledEncoder, pooled_features
from .clips import FrozenClip, ProgressCallback, freeze_clips
from .fine_tuning import DecidedLogits, FineTuning, Logits
from .report import AdaptationReport, AdaptationRow, write_adapted_card
from .selection import FOLDS, STRENGTHS, choose_strength, divide, held_out_by_strength, nested_logits

LICENCE_FILE: Final = "LICENSE.md"
_FEWEST: Final = 8
_FEWEST_WITH_WORDS: Final = 20
"""Clips with words that a temperature of their own is fitted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationRequest:
    """init: the folder of the checkpoint. asr: see `spoken_words`. work: caches. out: the folder of the new
    checkpoint.
    """

    init: Path
    examples: Sequence[Example]
    asr: str | None
    work: Path
    out: Path


def adapt(request: AdaptationRequest, on_progress: ProgressCallback) -> AdaptationReport:
    """Fine-tunes everything behind the frozen encoders, calibrates it, and writes the checkpoint.

    The figures are of clips that were neither trained nor chosen on, by speaker where speakers are known; the
    weights that are written come from all clips. Temperatures are fitted again, on held-out clips; weights
    of late fusion, the text-only head, the speaker's baseline and the predictor of errors stay as they are.
    Raises CorpusError, CheckpointError, SettingsError and TranscriberError.
    """
    folder = request.init
    if request.out.resolve() == folder.resolve():
        raise CorpusError(f"expected --output-dir to be another folder than --init, got {folder}: name one")
    checkpoint = load_checkpoint(folder)
    config = checkpoint.model.config
    names = tuple(config.label_names)
    examples = _labelled(request.examples, names)
    labels = [names.index(true_label(example, names)) for example in examples]
    cache = request.work / "cache"
    clips = freeze_clips(checkpoint, examples, labels, request.asr, cache, on_progress)
    words = sum(len(clip.tokens) > 0 for clip in clips)
    tuning = FineTuning(checkpoint.model, with_words=words > 0)

    def fitted(step: int) -> None:
        on_progress("fitting", step, 3)

    fitted(0)
    rows = [
        AdaptationRow("as it was", *_estimates(clips, tuning.decide(clips, tuning.start), names)),
        AdaptationRow("adapted", *_estimates(clips, nested_logits(tuning, clips), names)),
    ]
    fitted(1)
    found = held_out_by_strength(tuning, clips, FOLDS)
    strength = choose_strength(found, labels)
    fitted(2)
    both = _held_out_with_words(tuning, clips, strength) if words >= _FEWEST_WITH_WORDS else None
    tuning.load(tuning.fit(clips, STRENGTHS[: STRENGTHS.index(strength) + 1])[-1])
    before = config.temperatures["fused_audio"]
    _calibrate(config, found[strength].alone, both, labels, clips)
    fitted(3)
    rows.append(_probe_row(folder, clips, names, cache, on_progress))
    if config.baseline is None:
        rows = [replace(row, known=None) for row in rows]
    report = AdaptationReport(
        init=folder.name,
        rows=tuple(rows),
        clips=len(clips),
        left_out=len(request.examples) - len(examples),
        speakers=len({example.speaker for example in examples} - {""}),
        labels=names,
        missing=tuple(name for number, name in enumerate(names) if number not in labels),
        words=words,
        strength=strength,
        temperatures=(before, config.temperatures["fused_audio"]),
        predicts_errors=config.error_predictor is not None,
    )
    _write(checkpoint, folder, request.out, report)
    return report


def _labelled(examples: Sequence[Example], names: Sequence[str]) -> list[Example]:
    """The examples of the checkpoint's labels. Raises CorpusError for too few."""
    kept = [example for example in examples if true_label(example, names) in names]
    present = {true_label(example, names) for example in kept}
    if len(kept) < _FEWEST or len(present) < 2:
        raise CorpusError(
            f"expected {_FEWEST} clips or more, of two or more of the labels {', '.join(names)}, got "
            f"{len(kept)} of {', '.join(sorted(present)) or 'none'}: add clips, or train a model of other "
            "labels with --config"
        )
    return kept


def _held_out_with_words(tuning: FineTuning, clips: Sequence[FrozenClip], strength: float) -> Logits:
    """Logits by head of the clips with their words, from fits without them."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    path = STRENGTHS[: STRENGTHS.index(strength) + 1]
    for rows in divide(clips, FOLDS):
        held_out = set(rows.tolist())
        weights = tuning.fit([clip for row, clip in enumerate(clips) if row not in held_out], path)[-1]
        tested = [clips[row] for row in rows.tolist()]
        for head, values in tuning.logits(tested, weights, known=False, words=True).items():
            found.setdefault(head, np.zeros((len(clips), values.shape[1]), np.float32))[rows] = values
    return found


def _calibrate(
    config: EmotionConfig,
    audio: npt.NDArray[np.float64],
    both: Logits | None,
    labels: Sequence[int],
    clips: Sequence[FrozenClip],
) -> None:
    """Fits the temperatures on held-out logits. both: None where too few clips have words: the temperature
    with words then changes as much as that without.
    """
    truth = torch.tensor(labels)
    before = config.temperatures["fused_audio"]
    temperature = fit_temperature(torch.from_numpy(audio), truth)
    config.temperatures["audio"] = config.temperatures["fused_audio"] = temperature
    if both is None:
        config.temperatures["fused_both"] *= temperature / before
        return
    config.temperatures["fused_both"] = 1.0
    spoken = [row for row, clip in enumerate(clips) if len(clip.tokens)]
    posterior = fused_posterior({head: values[spoken] for head, values in both.items()}, "both", config)
    config.temperatures["fused_both"] = fit_temperature(torch.from_numpy(posterior).log(), truth[spoken])


def _estimates(
    clips: Sequence[FrozenClip], logits: DecidedLogits, names: tuple[str, ...]
) -> tuple[Estimate, Estimate, Estimate]:
    """UA and WA of each clip alone, UA with the speaker's baseline."""
    alone, known = (_predictions(clips, values, names) for values in (logits.alone, logits.known))
    return pooled_interval([alone], "ua"), pooled_interval([alone], "wa"), pooled_interval([known], "ua")


def _predictions(
    clips: Sequence[FrozenClip], logits: npt.NDArray[np.float64], names: tuple[str, ...]
) -> FoldPredictions:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return FoldPredictions(
        row="",
        fold="",
        seed=0,
        labels=names,
        keys=tuple(clip.example.key for clip in clips),
        speakers=tuple(clip.example.speaker for clip in clips),
        truth=np.array([clip.label for clip in clips]),
        probabilities=shares / shares.sum(1, keepdims=True),
        embeddings=None,
        validation_ua=0.0,
        epochs=0,
        seconds=0.0,
    )


def _probe_row(
    folder: Path,
    clips: Sequence[FrozenClip],
    names: tuple[str, ...],
    cache: Path,
    on_progress: ProgressCallback,
) -> AdaptationRow:
    """A linear probe on the same encoder and the same folds: what a head without any past makes of them."""
    examples = [clip.example for clip in clips]
    features = pooled_features(
        examples,
        PooledEncoder.load(folder, None, None),
        cache,
        lambda done, total: on_progress("encoding for the probe", done, total),
        device="cpu",
    )
    data = ProbeData(examples, features, np.array([clip.label for clip in clips]), names)
    logits = np.zeros((len(clips), len(names)))
    for rows in divide(clips, FOLDS):
        train = data.part(np.setdiff1d(np.arange(len(clips)), rows))
        logits[rows] = fit_probe(train).logits(data.features[rows])
    ua, wa, _ = _estimates(clips, DecidedLogits(logits, logits), names)
    return AdaptationRow("a linear probe instead", ua, wa, None)


def _write(checkpoint: Checkpoint, folder: Path, out: Path, report: AdaptationReport) -> None:
    save_checkpoint(checkpoint.model, checkpoint.tokenizer, out)
    licence = folder / LICENCE_FILE
    if licence.is_file():
        shutil.copyfile(licence, out / LICENCE_FILE)
    write_adapted_card(out, report, licensed=licence.is_file())
