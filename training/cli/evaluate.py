"""`python -m emostream.training evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..corpora.manifest import DEFAULT_DATA


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
        typer.Option(
            "--robustness", help="Also with noise, codecs, levels, silence, cuts: takes ten times as long."
        ),
    ] = False,
) -> None:
    """Evaluate a checkpoint on a manifest, through the recognizer that serves."""
    from emostream.models.checkpoint_files import resolve_checkpoint

    from ..evaluation.evaluate import evaluate as evaluate_checkpoint
    from ..evaluation.evaluation_report import conflict_table, corruption_table, evaluation_table, gain_list

    folder = resolve_checkpoint(checkpoint)
    evaluation = evaluate_checkpoint(folder, manifest, split, out, robustness=robustness)
    parts = [
        evaluation_table(evaluation.rows),
        gain_list(evaluation),
        conflict_table(evaluation),
        corruption_table(evaluation),
    ]
    print("\n\n".join(part for part in parts if part))
