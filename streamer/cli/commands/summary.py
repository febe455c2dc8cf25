"""`emostream summary`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ...summary.statistics import Weight


def summary(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS",
            help="Results of [bold]emostream replay[/bold] in JSON lines, CSV or Parquet, folders of "
            "them, or glob patterns; - reads JSON lines from standard input.",
        ),
    ],
    form: Annotated[
        Literal["text", "json", "csv"],
        typer.Option(
            "--format",
            help="text: tables for reading. json: all figures, times in milliseconds. csv: one row per "
            "recording, times in seconds.",
        ),
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write to this file instead of to standard output.",
            show_default=False,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Also plot the summary to this file.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Also write a page to send to somebody: the timeline of each recording, to be played.",
            show_default=False,
        ),
    ] = None,
    audio: Annotated[
        list[Path] | None,
        typer.Option(
            "--audio",
            metavar="DIR",
            help="With --html: where the recordings are, if not beside their results or where replay found "
            "them. May be repeated.",
            show_default=False,
        ),
    ] = None,
    embed_mb: Annotated[
        float,
        typer.Option(
            "--embed",
            metavar="MB",
            min=0,
            help="With --html: recordings in the page itself, at most so many megabytes; others are linked.",
        ),
    ] = 20,
    by: Annotated[
        Weight,
        typer.Option(
            "--by", help="Weight shares and mean confidences by time, or count each utterance once."
        ),
    ] = "time",
    files: Annotated[
        int,
        typer.Option(
            "--files", metavar="N", min=0, help="Rows of recordings in the text, the longest ones; 0: all."
        ),
    ] = 20,
) -> None:
    """Summarize results of replay: time per emotion, and which emotion follows which.

    Channels that were heard on their own (--channels split) are counted on their own, each as long as its
    recording.

    An utterance without a result interrupts the sequence: its neighbours do not count as a transition. A file
    that cannot be read is skipped and named: the exit status is 1 then, and 2 if none could be read.
    """
    from ..summary import summary as run_summary

    run_summary(
        results=results,
        form=form,
        output=output,
        png=png,
        html=html,
        audio=audio,
        embed_mb=embed_mb,
        by=by,
        files=files,
    )
