"""`python -m emostream.training evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from emostream.models.checkpoint import resolve_checkpoint

from ..corpora.manifest import DEFAULT_DATA
from ..evaluation.crossvalidation import fold_gains, fold_table, read_folds
from ..evaluation.evaluate import conflict_table, corruption_table, gain_list, table
from ..evaluation.evaluate import evaluate as figures_of


def evaluate(
    out: Annotated[
        Path,
        typer.Option(
            "--output-dir",
            help="Folder for metrics.json, predictions.csv, confusion.png.",
            show_default=False,
        ),
    ],
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", help="Checkpoint folder or hub name. Default: the bundled one."),
    ] = None,
    manifest: Annotated[
        Path, typer.Option("--manifest", help="CSV, JSONL, or a folder with manifest.csv.")
    ] = DEFAULT_DATA / "manifest.csv",
    split: Annotated[
        Literal["train", "dev", "test", "all"],
        typer.Option("--split", help="all: every clip, and the only one for a manifest without splits."),
    ] = "test",
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Noise, codecs, levels, silence, cuts as well: ten times as long."),
    ] = False,
) -> None:
    """Figures of a checkpoint on a manifest, through the recognizer that serves.

    Where the checkpoint holds the judgements of its recipe's cross-validation, their figures follow.
    """
    folder = resolve_checkpoint(checkpoint)
    folds = read_folds(folder)
    found = figures_of(folder, manifest, split, out, robustness=robustness)
    parts = [
        table(found.rows),
        gain_list(found),
        conflict_table(found),
        corruption_table(found),
        fold_table(folds),
        fold_gains(folds),
    ]
    print("\n\n".join(part for part in parts if part))
