"""`emostream compare`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def compare(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="FIRST",
            help="Results of [bold]emostream replay[/bold] in JSON lines, CSV or Parquet, or their folder.",
        ),
    ],
    second: Annotated[
        Path,
        typer.Argument(
            metavar="SECOND",
            help="Other results, or a CSV table of human labels: columns file and label, and, for labels of "
            "utterances, start_s and end_s.",
        ),
    ],
    form: Annotated[
        Literal["text", "json", "csv"],
        typer.Option(
            "--format", help="text: for reading. json: all figures. csv: one row per compared utterance."
        ),
    ] = "text",
    renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="THEIRS=OURS",
            help="Another name for a label, as anger=angry or excited=happy. May be repeated.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", metavar="N", min=0, help="Rows of utterances that differ; 0: all.")
    ] = 20,
) -> None:
    """Compare two sets of results, or results and human labels: agreement, kappa, figures per label, and the
    utterances that differ.

    Utterances are compared that share at least half of their time. A label without times is that of its whole
    recording. Per label, the second set is taken as the truth; intervals are by resampling recordings.
    """
    from ..compare import compare as run_compare

    run_compare(
        first=first,
        second=second,
        form=form,
        renamed=renamed,
        most=most,
    )
