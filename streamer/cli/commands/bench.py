"""`emostream bench`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from ..option_groups import with_option_groups
from ..options import ModelOptions
from ..workload_options import WorkloadOptions

app = typer.Typer(
    name="bench",
    help="Measure a server under a load of real speech.",
    no_args_is_help=True,
    add_completion=False,
)

SecondsOption = Annotated[float, typer.Option("--seconds", min=5.0, help="Seconds of audio per stream.")]


@app.command()
@with_option_groups
def latency(workload: WorkloadOptions, models: ModelOptions, seconds: SecondsOption = 120.0) -> None:
    """One stream in real time: the time from the end of speech to the event."""
    from ..bench import latency as run_latency

    run_latency(
        workload=workload,
        models=models,
        seconds=seconds,
    )


@app.command()
@with_option_groups
def streams(
    workload: WorkloadOptions,
    models: ModelOptions,
    counts: Annotated[
        str,
        typer.Option("--counts", metavar="N,N,...", help="Numbers of concurrent streams, one run for each."),
    ] = "1,4,8,16",
    seconds: SecondsOption = 60.0,
) -> None:
    """Many streams at once in real time, a new server for each count."""
    from ..bench import streams as run_streams

    run_streams(
        workload=workload,
        models=models,
        counts=counts,
        seconds=seconds,
    )


@app.command()
@with_option_groups
def replay(
    workload: WorkloadOptions,
    models: ModelOptions,
    seconds: SecondsOption = 120.0,
    recordings: Annotated[
        int,
        typer.Option(
            "--recordings",
            metavar="N",
            min=1,
            help="Recordings of that many seconds together, replayed side by side as by [bold]emostream "
            "replay[/bold].",
        ),
    ] = 12,
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=1, help="Runs, of which the median counts.")
    ] = 5,
) -> None:
    """Replay at full speed, compared with the same calls of the models alone."""
    from ..bench import replay as run_replay

    run_replay(
        workload=workload,
        models=models,
        seconds=seconds,
        recordings=recordings,
        repeats=repeats,
    )
