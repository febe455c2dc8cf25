"""`emostream batch`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..batch_options import WorkerOptions
from ..option_groups import with_option_groups
from ..options import AudioOptions, LanguageOption, ModelOptions


@with_option_groups
def batch(
    *,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Recordings, folders of them and glob patterns, as paths or as addresses that fsspec has a "
            "driver for, such as s3://bucket/folder.",
        ),
    ],
    output_dir: Annotated[
        str,
        typer.Option(
            "--output-dir",
            metavar="DIR",
            help="Folder of the results: a path or an address that every node of the cluster sees.",
            show_default=False,
        ),
    ],
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            help="Ray cluster: HOST:PORT of one that this machine is part of, local for this machine alone, "
            "or auto for the one that runs here, else this machine alone.",
        ),
    ] = "auto",
    form: Annotated[
        Literal["jsonl", "parquet"],
        typer.Option("--format", help="jsonl: one JSON event per line. parquet: a table of final results."),
    ] = "jsonl",
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip recordings that have results in --output-dir already.")
    ] = False,
    language: LanguageOption = None,
    audio: AudioOptions,
    worker: WorkerOptions,
    models: ModelOptions,
) -> None:
    """Analyze an archive of recordings on a Ray cluster.

    A run that was interrupted goes on with --resume; lost workers and nodes are replaced. Recordings that
    fail have a row in the folder's errors table: the exit status is 1 then, and 2 if none succeeded.
    """
    from ..batch import batch as run_batch

    run_batch(
        inputs=inputs,
        output_dir=output_dir,
        address=address,
        form=form,
        resume=resume,
        language=language,
        audio=audio,
        worker=worker,
        models=models,
    )
