"""Predictions of a fitted model for its test fold, stored in one file per fit, written atomically."""

from __future__ import annotations

import hashlib
import math
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import PredictionsError

_SLUG: Final = re.compile(r"[^a-z0-9.]+")
_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy, zipfile and zlib raise for a damaged file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldPredictions:
    """Predictions of one trained model for one test fold.

    row: the row of the table: "baseline", "bce alpha=0.3", ... fold, seed: the fit within the row.
    labels: C names, in the order of the columns of `probabilities`.
    keys, speakers: of the N utterances; a speaker is empty where unknown. sessions: of each, a name that is
    the same for all who talk to each other; empty where it was not stored.
    truth: (N,) class indices. probabilities: (N, C), each row sums to 1.
    embeddings: (N, D) of audio and text for the plots, None where not stored.
    validation_ua: of the selected epoch, in [0, 1]. validation_ece: calibration error of the validation
    examples, calibrated without their own speakers; None where it was not measured. epochs: trained. seconds:
    duration of the fit.

    Raises ValueError where the sizes do not match.
    """

    row: str
    fold: str
    seed: int
    labels: tuple[str, ...]
    keys: tuple[str, ...]
    speakers: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    embeddings: npt.NDArray[np.float32] | None
    validation_ua: float
    epochs: int
    seconds: float
    sessions: tuple[str, ...] = ()
    validation_ece: float | None = None

    def __post_init__(self) -> None:
        count, classes = len(self.keys), len(self.labels)
        shapes = (len(self.speakers), *self.truth.shape, *self.probabilities.shape)
        if shapes != (count, count, count, classes):
            raise ValueError(
                f"{self.name}: expected {count} keys, speakers, truths, probabilities of {classes}"
            )
        if self.sessions and len(self.sessions) != count:
            raise ValueError(f"{self.name}: expected {count} sessions, got {len(self.sessions)}")
        if self.embeddings is not None and len(self.embeddings) != count:
            raise ValueError(f"{self.name}: expected {count} embeddings, got {len(self.embeddings)}")
        if not np.allclose(self.probabilities.sum(1), 1, atol=1e-4):
            raise ValueError(f"{self.name}: expected probabilities that sum to 1")

    @property
    def name(self) -> str:
        return f"{self.row}, fold {self.fold}, seed {self.seed}"

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(N,) indices of the most probable label."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)


def predictions_file(folder: Path, row: str, fold: str, seed: int) -> Path:
    """The path of this fit's predictions; readable, and distinct for distinct fits."""
    slug = _SLUG.sub("-", f"{row} fold {fold} seed {seed}".lower()).strip("-")[:80]
    digest = hashlib.sha256(repr((row, fold, seed)).encode()).hexdigest()[:8]
    return folder / f"{slug}.{digest}.npz"


def write_predictions(folder: Path, result: FoldPredictions) -> Path:
    """Writes the file atomically: an interrupted write leaves the old file or none."""
    folder.mkdir(parents=True, exist_ok=True)
    file = predictions_file(folder, result.row, result.fold, result.seed)
    values: dict[str, Any] = {
        "row": result.row,
        "fold": result.fold,
        "seed": result.seed,
        "labels": np.array(result.labels, dtype=np.str_),
        "keys": np.array(result.keys, dtype=np.str_),
        "speakers": np.array(result.speakers, dtype=np.str_),
        "sessions": np.array(result.sessions, dtype=np.str_),
        "truth": result.truth,
        "probabilities": result.probabilities,
        "validation_ua": result.validation_ua,
        "validation_ece": math.nan if result.validation_ece is None else result.validation_ece,
        "epochs": result.epochs,
        "seconds": result.seconds,
    }
    if result.embeddings is not None:
        values["embeddings"] = result.embeddings.astype(np.float16)  # for a picture
    unfinished = file.with_suffix(".partial")
    with unfinished.open("wb") as out:
        np.savez_compressed(out, **values)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(file)
    return file


def read_all_predictions(folder: Path) -> list[FoldPredictions]:
    """All predictions in the folder, by file name. Raises PredictionsError, which names the damaged file."""
    return [read_predictions(file) for file in sorted(folder.glob("*.npz"))]


def read_predictions(file: Path) -> FoldPredictions:
    """Raises PredictionsError where the file is damaged or holds something else."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as values:
            return _to_predictions({name: values[name] for name in values.files})
    except _DAMAGE as error:
        raise PredictionsError(
            f"{file}: expected the predictions of a fit, got: {error}; delete the file to fit again"
        ) from error


def _to_predictions(values: Mapping[str, npt.NDArray[Any]]) -> FoldPredictions:
    embeddings = values.get("embeddings")
    return FoldPredictions(
        row=str(values["row"]),
        fold=str(values["fold"]),
        seed=int(values["seed"]),
        labels=tuple(values["labels"].tolist()),
        keys=tuple(values["keys"].tolist()),
        speakers=tuple(values["speakers"].tolist()),
        truth=values["truth"].astype(np.int64),
        probabilities=values["probabilities"].astype(np.float64),
        embeddings=None if embeddings is None else embeddings.astype(np.float32),
        validation_ua=float(values["validation_ua"]),
        epochs=int(values["epochs"]),
        seconds=float(values["seconds"]),
        sessions=tuple(values["sessions"].tolist()) if "sessions" in values else (),
        validation_ece=_known(values.get("validation_ece")),
    )


def _known(value: npt.NDArray[Any] | None) -> float | None:
    """NaN, and nothing at all in files of an earlier version, stand for None."""
    return None if value is None or math.isnan(float(value)) else float(value)
