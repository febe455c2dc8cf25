"""`python -m emostream.training train`: the recipe of models/bundled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ..corpora.manifest import DEFAULT_DATA

_WEIGHTS: Final = DEFAULT_DATA.parent / "weights"


def train(
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--output-dir", help="Checkpoint folder to write.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder with manifest.csv and text.csv.gz.")
    ] = DEFAULT_DATA,
    weights: Annotated[Path, typer.Option("--weights", help="Folder of the teachers.")] = _WEIGHTS,
    work: Annotated[Path, typer.Option("--work", help="Snapshots, caches and the log.")] = Path("run"),
    whisper: Annotated[
        Path | None,
        typer.Option(
            "--whisper",
            help="A faster-whisper folder whose encoder to share: runs the recipe of models/bundled_whisper.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the recipe of models/bundled: distill both encoders, train heads and fusion, calibrate, evaluate.

    With --whisper, that of models/bundled_whisper: heads and fusion on Whisper's encoder. An interrupted run
    resumes where it stopped. To train on a corpus of your own, see fit.
    """
    from emostream.models.checkpoint import load_checkpoint

    from ..bundled_recipe.model_card import write_card
    from ..bundled_recipe.pipeline import run_recipe
    from ..bundled_recipe.settings import read_settings
    from ..bundled_recipe.stages import RecipePaths
    from ..evaluation.crossvalidation import read_folds, write_folds
    from ..evaluation.evaluate import evaluate
    from ..evaluation.evaluation_report import evaluation_table
    from ..whisper_recipe.pipeline import WhisperPaths, run_whisper_recipe
    from ..whisper_recipe.settings import read_whisper_settings
    from .export import write_graphs

    if whisper is not None:
        run_whisper_recipe(read_whisper_settings(config), WhisperPaths(data, whisper, work), out)
        write_graphs(out, whisper)
        return
    settings = read_settings(config)
    results = run_recipe(settings, RecipePaths(data, weights, work, out))
    write_graphs(out)
    write_folds(out, results)
    evaluation = evaluate(out, data / "manifest.csv", "test", work / "evaluation", robustness=True)
    print(evaluation_table(evaluation.rows))
    model = load_checkpoint(out).model
    encoders = {"audio": model.audio_encoder, "text": model.text_encoder}
    sizes = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in encoders.items()}
    write_card(out, model.config, sizes, evaluation, read_folds(out), settings)
