"""`emostream serve`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ...server.log import LogFormat
from ..option_groups import with_option_groups
from ..options import ModelOptions
from ..server_options import ServerOptions


@with_option_groups
def serve(
    *,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine",
            help="Where the models run: local, in this process, or ray, in a cluster whose models several "
            "servers share (replicas and their size: section [bold]cluster[/bold] of --config).",
        ),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="With --engine ray: HOST:PORT of a cluster that this machine is part of. Default: the one "
            "that runs here, else one of its own.",
            show_default=False,
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--log-format",
            help="Log sessions to standard error: text, or json (one object per line). Audio and transcripts "
            "are never logged. Default: warnings only.",
            show_default=False,
        ),
    ] = None,
    server: ServerOptions,
    models: ModelOptions,
) -> None:
    """Serve websocket clients, each with an audio stream of its own.

    Clients connect to ws://HOST:PORT/v1/stream; the web page is at http://HOST:PORT/. Ctrl-C ends it after
    the finals in progress are sent.
    """
    from ..serve import serve as run_serve

    run_serve(
        engine=engine,
        ray_address=ray_address,
        log_format=log_format,
        server=server,
        models=models,
    )
