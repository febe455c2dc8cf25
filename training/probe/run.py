"""The probe of each corpus and of each corpus left out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emostream.models import LABELS

from ..corpora.example import CorpusError, Example
from ..corpora.places import read_places
from ..evaluation.bootstrap import pooled_interval
from ..evaluation.predictions import FoldPredictions
from .crossvalidation import FittedProbe, ProbeData, fit_probe, outer_folds
from .pooling import PooledEncoder, Progress, pooled_features
from .report import ProbeReport, ProbeRow


def _no_progress(done: int, clips: int) -> None:
    """The default callback."""


def probe(
    places: Sequence[str | Path],
    *,
    checkpoint: str | Path | None = None,
    audio: str | Path | None = None,
    layers: Sequence[int] | None = None,
    own_labels: bool = False,
    centre_speakers: bool = False,
    work: Path = Path("run"),
    device: str = "auto",
    on_progress: Progress = _no_progress,
) -> ProbeReport:
    """Logistic regression on pooled layers of a frozen encoder: what any head has to surpass.

    places: manifests, folders with manifests, or folders named by label, see `corpora.places`. checkpoint,
    audio, layers: see `PooledEncoder.load`. own_labels: the corpus's own labels in place of the four, of
    those that all corpora have. centre_speakers: each speaker's mean is subtracted from his clips, in test
    as in training; no labels are used for it, but all of his clips. work: the pooled features are cached in
    it.

    Each corpus is evaluated in folds of its speakers, and, where there are several, left out as a whole while
    the others are trained on. Nothing is chosen on what is tested: the regularization comes from inner
    folds, by speaker as well. Raises CorpusError, CheckpointError, SettingsError, DeviceError.
    """
    started = time.monotonic()
    examples, labels = _labelled(read_places([Path(place) for place in places]), own_labels)
    encoder = PooledEncoder.load(checkpoint, audio, layers)
    features = pooled_features(examples, encoder, work / "cache", on_progress, device=device)
    truth = np.array([labels.index(_label(example, own_labels)) for example in examples])
    data = ProbeData(examples, features, truth, labels)
    if centre_speakers:
        data = data.speaker_centred()
    rows = [_within(data, corpus) for corpus in data.corpora]
    if len(data.corpora) > 1:
        rows += [_left_out(data, corpus) for corpus in data.corpora]
    name = f"{encoder.name}, layers {', '.join(map(str, encoder.layers))}"
    return ProbeReport(name, labels, tuple(rows), time.monotonic() - started, centred=centre_speakers)


def _labelled(examples: Sequence[Example], own_labels: bool) -> tuple[list[Example], tuple[str, ...]]:
    """The examples of the labels, and those. Raises CorpusError where there are fewer than two."""
    corpora = sorted({example.corpus for example in examples})
    found = {corpus: {_label(e, own_labels) for e in examples if e.corpus == corpus} for corpus in corpora}
    if own_labels:
        labels = tuple(sorted(set.intersection(*found.values())))
    else:
        labels = tuple(label for label in LABELS if any(label in of_corpus for of_corpus in found.values()))
    kept = [example for example in examples if _label(example, own_labels) in labels]
    for corpus in {example.corpus for example in kept}:
        if len({_label(e, own_labels) for e in kept if e.corpus == corpus}) < 2:
            kept = [example for example in kept if example.corpus != corpus]
    if not kept:
        raise CorpusError(
            f"expected clips of two labels or more of {'every corpus' if own_labels else ', '.join(LABELS)}, "
            "got "
            + "; ".join(f"{corpus}: {', '.join(sorted(of_corpus))}" for corpus, of_corpus in found.items())
            + ": fix the labels, or take --own-labels"
        )
    return kept, labels


def _label(example: Example, own_labels: bool) -> str:
    return example.emotion_orig if own_labels else example.emotion


def _within(data: ProbeData, corpus: str) -> ProbeRow:
    """Cross-validated over the corpus's own speakers."""
    _, own = data.of_corpora(without=corpus)
    fits: list[FittedProbe] = []
    predictions: list[FoldPredictions] = []
    everything = np.arange(len(own.truth))
    for name, rows in outer_folds(own):
        train = own.part(np.setdiff1d(everything, rows))
        _check_labels(train, own.part(rows), name)
        fits.append(fit_probe(train))
        predictions.append(_predicted(fits[-1], own.part(rows), name))
    protocol = "speakers left out" if own.speakers_known else "clips left out"
    return _row(corpus, protocol, own, fits, predictions)


def _left_out(data: ProbeData, corpus: str) -> ProbeRow:
    """Trained on all other corpora."""
    others, own = data.of_corpora(without=corpus)
    _check_labels(others, own, corpus)
    fitted = fit_probe(others)
    return _row(corpus, "corpus left out", own, [fitted], [_predicted(fitted, own, corpus)])


def _check_labels(train: ProbeData, test: ProbeData, fold: str) -> None:
    if unknown := sorted(set(test.truth.tolist()) - set(train.truth.tolist())):
        raise CorpusError(
            f"{', '.join(test.corpora)}, fold {fold}: expected every label among the training clips, got "
            f"none of {test.labels[unknown[0]]}: add clips of it by other speakers"
        )


def _predicted(fitted: FittedProbe, data: ProbeData, fold: str) -> FoldPredictions:
    logits = fitted.logits(data.features)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return FoldPredictions(
        row="probe",
        fold=fold,
        seed=0,
        labels=data.labels,
        keys=tuple(example.key for example in data.examples),
        speakers=tuple(example.speaker for example in data.examples),
        truth=data.truth,
        probabilities=shares / shares.sum(1, keepdims=True),
        embeddings=None,
        validation_ua=0.0,
        epochs=0,
        seconds=0.0,
    )


def _row(
    corpus: str, protocol: str, data: ProbeData, fits: Sequence[FittedProbe], folds: Sequence[FoldPredictions]
) -> ProbeRow:
    counts = np.bincount(data.truth, minlength=len(data.labels))
    return ProbeRow(
        corpus=corpus,
        protocol=protocol,
        clips=len(data.truth),
        speakers=len({example.speaker for example in data.examples} - {""}),
        ua=pooled_interval(folds, "ua"),
        wa=pooled_interval(folds, "wa"),
        chance_ua=1 / int((counts > 0).sum()),
        most_frequent=float(counts.max() / counts.sum()),
        penalties=tuple(fitted.penalty for fitted in fits),
        folds=tuple(folds),
    )
