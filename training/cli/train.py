"""`python -m emostream.training train`: the recipe of both bundled models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..corpora.manifest import DEFAULT_DATA
from . import options


def train(
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--output-dir", help="Checkpoint folder to write.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder with manifest.csv and text.csv.gz.")
    ] = DEFAULT_DATA,
    work: options.WorkOption = Path("run"),
    whisper: options.WhisperOption = None,
    encoders: options.EncodersOption = None,
) -> None:
    """Train a classifier on frozen encoders and many corpora: the recipe of both bundled models.

    Each corpus is left out in turn first; what is chosen after training and the error predictor come from
    that. An interrupted run resumes where it stopped. To train on a corpus of your own, see fit.
    """
    from ..cross_corpus.pipeline import CrossCorpusPaths, run_cross_corpus
    from ..cross_corpus.settings import read_cross_corpus_settings
    from .export import write_graphs

    options.check_output_folder(out, "--output-dir")
    options.check_output_folder(work, "--work")
    settings = read_cross_corpus_settings(config)
    run_cross_corpus(settings, CrossCorpusPaths(data, whisper, work, options.encoder_folder(encoders)), out)
    write_graphs(out, whisper)
    print(out)
