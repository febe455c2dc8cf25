"""`python -m emostream.training evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..corpora.manifest import DEFAULT_DATA
from ..evaluation.checkpoint import evaluate as figures_of
from ..evaluation.checkpoint import table


def evaluate(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for figures.json and predictions.csv.", show_default=False)
    ],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Checkpoint folder. Default: the bundled one.")
    ] = None,
    manifest: Annotated[Path, typer.Option("--manifest")] = DEFAULT_DATA / "manifest.csv",
    split: Annotated[Literal["train", "dev", "test"], typer.Option("--split")] = "test",
) -> None:
    """Figures of a checkpoint on a manifest, through the recognizer that serves."""
    print(table(figures_of(checkpoint, manifest, split, out)))
