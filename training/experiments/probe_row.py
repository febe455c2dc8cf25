"""The row of the linear probe: logistic regression on pooled layers of the frozen audio encoder.

It trains no network, so a head that does not surpass it has learned nothing that the encoder did not hold.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from emostream.models.collate import collate_audio

from ..corpora.example import Example
from ..errors import SettingsError
from ..evaluation.calibrate import fit_temperature
from ..evaluation.metrics import unweighted_recall
from ..evaluation.predictions import FoldPredictions
from ..probe.crossvalidation import ProbeData, fit_probe
from ..probe.linear import Floats
from ..probe.pooling import pooled_statistics
from .folds import Fold
from .table_rows import PROBE

if TYPE_CHECKING:
    from .run import RunContext

_FILE: Final = "pooled.npz"


def run_probe(context: RunContext, fold: Fold, seed: int) -> FoldPredictions:
    """Its regularization is chosen on inner folds of the training examples by speaker, its temperature on the
    validation examples. It draws nothing: every seed has the same predictions.
    """
    started = time.monotonic()
    train, validation, test = (_data(context, part) for part in (fold.train, fold.validation, fold.test))
    probe = fit_probe(train)
    logits = torch.from_numpy(probe.logits(validation.features))
    temperature = fit_temperature(logits, torch.from_numpy(validation.truth))
    probabilities = torch.from_numpy(probe.logits(test.features) / temperature).softmax(1).numpy()
    return FoldPredictions(
        row=PROBE,
        fold=fold.name,
        seed=seed,
        labels=tuple(context.experiment.labels),
        keys=tuple(example.key for example in fold.test),
        speakers=tuple(example.speaker for example in fold.test),
        sessions=tuple(fold.sessions.get(example.key, "") for example in fold.test),
        truth=test.truth,
        probabilities=probabilities,
        embeddings=None,
        validation_ua=unweighted_recall(validation.truth.tolist(), logits.argmax(1).tolist()),
        epochs=0,
        seconds=time.monotonic() - started,
    )


def _data(context: RunContext, examples: Sequence[Example]) -> ProbeData:
    if silent := [example.key for example in examples if example.path is None]:
        raise SettingsError(
            f"expected audio for every example of the row {PROBE}, got none for {silent[0]}: choose other "
            "--rows"
        )
    pooled = _pooled(context)
    truth = np.array([context.labels[example.key] for example in examples])
    features = np.stack([pooled[example.key] for example in examples])
    return ProbeData(examples, features, truth, tuple(context.experiment.labels))


def _pooled(context: RunContext) -> dict[str, Floats]:
    """Key -> (2 L H,), of every clip of the table; computed once and kept beside its results."""
    file = context.work / _FILE
    if not file.exists():
        _write(file, {key: _pool(context, key) for key in sorted(context.inputs.audio.spans)})
    with np.load(file, allow_pickle=False) as stored:
        return dict(zip(stored["keys"].tolist(), stored["features"], strict=True))


def _write(file: Path, pooled: dict[str, Floats]) -> None:
    """Renamed when it is whole: another worker may write the same."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as out:
        np.savez(out, keys=np.array(list(pooled), dtype=np.str_), features=np.stack(list(pooled.values())))
    unfinished.replace(file)


@torch.inference_mode()
def _pool(context: RunContext, key: str) -> Floats:
    inputs = context.inputs
    if inputs.audio_features is not None:
        return pooled_statistics(inputs.audio_features.view(key, 0)[0].float())
    device = context.accelerator.device
    encoder = context.model_factory.template.audio_encoder.to(device)
    batch = collate_audio([inputs.audio.clip(key)], encoder.waveform_spec).to(device)
    states, mask = encoder.layers(batch.samples, batch.mask)
    return pooled_statistics(torch.stack([state[0][mask[0]] for state in states]).float().cpu())
