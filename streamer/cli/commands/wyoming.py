"""`emostream wyoming`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from ..option_groups import with_option_groups
from ..options import ModelOptions

_PORT = 10300
"""Where Wyoming's programs for speech to text listen by custom."""


@with_option_groups
def wyoming(
    *,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Port to listen on.")] = _PORT,
    no_auth: Annotated[
        bool,
        typer.Option(
            "--no-auth", help="Listen on an address beyond this machine: the protocol has no tokens."
        ),
    ] = False,
    models: ModelOptions,
) -> None:
    """Serve Wyoming clients, such as Home Assistant: speech to text, with the emotion of each utterance in
    the transcript's context.

    Ctrl-C ends it. Needs [bold]pip install 'emostream[wyoming]'[/bold].
    """
    from ..wyoming import wyoming as run_wyoming

    run_wyoming(
        host=host,
        port=port,
        no_auth=no_auth,
        models=models,
    )
