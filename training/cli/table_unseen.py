"""`python -m emostream.training table unseen | speakers`: on corpora and speakers left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..corpora.manifest import DEFAULT_DATA
from . import options

RecipeOption = Annotated[Path, typer.Option("--config", help="TOML of the run of the recipe.")]
RecipeDataOption = Annotated[
    Path, typer.Option("--data", help="Folder of the corpora, a manifest.csv in each.")
]


def unseen(
    whisper: options.WhisperOption = None,
    encoders: options.EncodersOption = None,
    config: RecipeOption = options.RUNS / "bundled-whisper.toml",
    data: RecipeDataOption = DEFAULT_DATA,
    out: options.OutOption = Path("run/unseen"),
    work: options.WorkOption = Path("run"),
    probe: Annotated[
        bool, typer.Option("--probe", help="A logistic regression on the same states instead of the head.")
    ] = False,
) -> None:
    """The recipe of the bundled models with each corpus left out in turn: labels, baselines, doubts."""
    from ..cross_corpus.pipeline import CrossCorpusPaths, leave_corpora_out, prepare
    from ..cross_corpus.settings import read_cross_corpus_settings

    options.check_output_folder(out, "--output-dir")
    options.check_output_folder(work, "--work")
    context, _ = prepare(
        read_cross_corpus_settings(config),
        CrossCorpusPaths(data, whisper, work, options.encoder_folder(encoders)),
    )
    report = leave_corpora_out(context, out, probe=probe)
    print(f"{report.tables()}\n\n{out / 'table.md'}")


def speakers(
    whisper: options.WhisperOption = None,
    encoders: options.EncodersOption = None,
    config: RecipeOption = options.RUNS / "bundled-whisper.toml",
    data: RecipeDataOption = DEFAULT_DATA,
    corpus: Annotated[str, typer.Option("--corpus", help="A corpus with folds of its own.")] = "ravdess",
    neutral_offset: Annotated[
        float,
        typer.Option(
            "--neutral-offset",
            help="Taken from neutral's log odds; `table unseen` chooses it on other corpora.",
        ),
    ] = 0.0,
    out: options.OutOption = Path("run/speakers"),
    work: options.WorkOption = Path("run"),
) -> None:
    """The recipe of the bundled models with a part of one corpus's speakers left out in turn."""
    from emostream.models.baseline import BaselineSettings

    from ..cross_corpus.choice import Choice
    from ..cross_corpus.pipeline import CrossCorpusPaths, prepare
    from ..cross_corpus.settings import read_cross_corpus_settings
    from ..cross_corpus.speakers import leave_speakers_out

    options.check_output_folder(out, "--output-dir")
    options.check_output_folder(work, "--work")
    settings = read_cross_corpus_settings(config)
    context, _ = prepare(settings, CrossCorpusPaths(data, whisper, work, options.encoder_folder(encoders)))
    choice = Choice(neutral_offset, BaselineSettings(settings.baseline.prior_count))
    report = leave_speakers_out(context, corpus, choice)
    print(f"{report.table()}\n\n{report.write(out)}")
