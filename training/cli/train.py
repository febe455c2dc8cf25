"""`python -m emostream.training train`: the recipe of models/bundled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emostream.models.checkpoint import load_checkpoint

from ..bundled_recipe.audio_teacher import DEFAULT_WEIGHTS
from ..bundled_recipe.model_card import write_card
from ..bundled_recipe.pipeline import RecipePaths
from ..bundled_recipe.pipeline import train as run_stages
from ..bundled_recipe.settings import read_settings
from ..corpora.manifest import DEFAULT_DATA
from ..evaluation.crossvalidation import read_folds, write_folds
from ..evaluation.evaluate import evaluate, table
from .export import write_encoder_graph


def train(
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--output-dir", help="Checkpoint folder to write.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder with manifest.csv and text.csv.gz.")
    ] = DEFAULT_DATA,
    weights: Annotated[Path, typer.Option("--weights", help="Folder of the teachers.")] = DEFAULT_WEIGHTS,
    work: Annotated[Path, typer.Option("--work", help="Snapshots, caches and the log.")] = Path("run"),
) -> None:
    """Run the recipe of models/bundled: distil both encoders, train heads and fusion, calibrate, judge.

    A stopped run goes on where it was. To train on a corpus of your own, see fit.
    """
    settings = read_settings(config)
    results = run_stages(settings, RecipePaths(data, weights, work, out))
    write_encoder_graph(out)
    write_folds(out, results)
    found = evaluate(out, data / "manifest.csv", "test", work / "figures", robustness=True)
    print(table(found.rows))
    model = load_checkpoint(out).model
    encoders = {"audio": model.audio_encoder, "text": model.text_encoder}
    sizes = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in encoders.items()}
    write_card(out, model.config, sizes, found, read_folds(out), settings)
