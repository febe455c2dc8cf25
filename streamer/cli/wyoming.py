"""`emostream wyoming`: speech to text with emotion, for Home Assistant."""

from __future__ import annotations

import asyncio
from socket import socket as Socket
from typing import Annotated

import typer
from rich.console import Console

from ..clock import Clock, WallClock
from ..config import Settings
from ..errors import ConfigError
from ..inference.engine import Engine
from ..optional_deps import require
from ..server.listen import bind
from ..server.local_stream import stop_on_signals
from ..server.origin import LOOPBACK_NAMES
from .console import load_engine, print_models
from .option_groups import with_option_groups
from .options import ModelOptions

_PORT = 10300
"""Where Wyoming's programs for speech to text listen by custom."""


@with_option_groups
def wyoming(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = _PORT,
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
    require("wyoming", "emostream wyoming", "wyoming")
    if host not in LOOPBACK_NAMES and not no_auth:
        raise ConfigError(
            f"expected --no-auth for an address that other machines reach ({host}), got none: the protocol "
            "has no tokens, and any machine on the network could use it"
        )
    settings = models.settings(server={"host": host, "port": port, "no_auth": no_auth or None})
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = load_engine(settings, console, clock, live=True)
    print_models(console, engine.model_info)
    asyncio.run(_serve(bound, engine, settings, clock, console))


async def _serve(bound: Socket, engine: Engine, settings: Settings, clock: Clock, console: Console) -> None:
    from ..server.wyoming import WyomingServer

    async with engine.running():
        stop = stop_on_signals()
        async with WyomingServer(bound, engine, settings, clock) as server:
            console.print(f"Wyoming on {server.uri} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
            await stop.wait()
