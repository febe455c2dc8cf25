"""`emostream compare`: two models, or a model and human labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ..comparison.agreement import agreement
from ..comparison.labels import read_labels
from ..comparison.pairing import pair
from ..comparison.report import Comparison, print_comparison, write_csv, write_json
from ..display_paths import printable
from ..errors import ConfigError, SourceError


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
    names = _names(renamed or [])
    pairs = pair(read_labels(first, names), read_labels(second, names))
    if not pairs.both:
        raise SourceError(
            f"expected utterances of the same recordings in {printable(first)} and {printable(second)}, got "
            f"{len(pairs.only_first)} and {len(pairs.only_second)} without a partner; check names and times"
        )
    comparison = Comparison(printable(first), printable(second), pairs, agreement(pairs.both))
    if form == "json":
        write_json(comparison, sys.stdout)
    elif form == "csv":
        write_csv(comparison, sys.stdout)
    else:
        print_comparison(comparison, Console(), most)


def _names(options: list[str]) -> dict[str, str]:
    """Raises ConfigError."""
    names = {}
    for option in options:
        theirs, equals, ours = option.partition("=")
        if not (equals and theirs.strip() and ours.strip()):
            raise ConfigError(f"expected --map THEIRS=OURS, got {option!r}; name both labels")
        names[theirs.strip().casefold()] = ours.strip().casefold()
    return names
