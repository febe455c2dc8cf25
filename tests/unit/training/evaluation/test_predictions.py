"""Predictions of a fit on disk: a round trip, atomic writing, and damaged files."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from emostream.training.errors import PredictionsError
from emostream.training.evaluation.predictions import (
    FoldPredictions,
    predictions_file,
    read_all_predictions,
    read_predictions,
    write_predictions,
)
from tests.support.fake_predictions import result, row_of_fits


def same(one: FoldPredictions, other: FoldPredictions) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(FoldPredictions)]
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype if isinstance(a, np.ndarray) else a == b for a, b in pairs
    )


@pytest.mark.parametrize(
    "embeddings", [None, np.random.default_rng(0).normal(size=(3, 5)).astype(np.float16).astype(np.float32)]
)
def test_a_round_trip(tmp_path: Path, embeddings: np.ndarray | None) -> None:
    written = result(
        [0, 1, 3], [0, 2, 3], speakers=["ä", "", "b"], row="bce alpha=0.3", embeddings=embeddings
    )
    assert same(read_predictions(write_predictions(tmp_path, written)), written)


def test_a_folder_holds_one_file_for_each_fit(tmp_path: Path) -> None:
    fits = [*row_of_fits("baseline", 0.5), *row_of_fits("bce alpha=0.1", 0.5)]
    for fit in [*fits, *fits]:  # a fit that is written again replaces its file
        write_predictions(tmp_path, fit)
    names = {fit.name for fit in read_all_predictions(tmp_path)}
    assert names == {fit.name for fit in fits}
    assert len(list(tmp_path.iterdir())) == len(fits)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a b", "1", 0), ("a-b", "1", 0)), (("a", "1", 12), ("a", "11", 2)), (("A", "1", 0), ("a", "1", 0))],
)
def test_distinct_fits_have_distinct_files(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    files = [predictions_file(Path("runs"), *fit) for fit in (one, other)]
    assert files[0] != files[1]
    assert files[0].name.lower() != files[1].name.lower()  # for case-insensitive file systems


def test_a_row_name_cannot_leave_the_folder() -> None:
    assert predictions_file(Path("runs"), "../../etc/passwd", "1", 0).parent == Path("runs")


def test_files_of_a_killed_run_are_ignored(tmp_path: Path) -> None:
    file = write_predictions(tmp_path, result([0], [0]))
    file.with_suffix(".partial").write_bytes(b"PK half a file")
    assert len(read_all_predictions(tmp_path)) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_an_error_with_its_path(tmp_path: Path, share: float) -> None:
    file = write_predictions(tmp_path, result([0, 1], [0, 1]))
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        PredictionsError, match=rf"{file.name}: expected the predictions of a fit.*delete the file"
    ):
        read_all_predictions(tmp_path)


def test_any_changed_byte_is_an_error_or_has_no_effect(tmp_path: Path) -> None:
    written = result([0, 1, 2], [0, 1, 1])
    file = write_predictions(tmp_path, written)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        with suppress(PredictionsError):
            assert same(read_predictions(file), written)


def test_a_foreign_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", numbers=np.arange(3))
    with pytest.raises(PredictionsError, match=r"other\.npz: expected the predictions of a fit"):
        read_all_predictions(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": ("a",)},
        {"speakers": ("a",)},
        {"truth": np.zeros(5, dtype=np.int64)},
        {"labels": ("angry", "sad")},
        {"embeddings": np.zeros((3, 4), dtype=np.float32)},
        {"probabilities": np.full((2, 4), 0.5)},
    ],
)
def test_inconsistent_parts_are_rejected(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="baseline, fold 1, seed 0: expected"):
        replace(result([0, 1], [0, 1]), **change)  # type: ignore[arg-type]
