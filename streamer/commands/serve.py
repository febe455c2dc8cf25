"""`emostream serve`"""

from __future__ import annotations

import asyncio
from socket import socket as Socket
from typing import Annotated

import typer
from rich.console import Console

from ..broadcast import on_interrupt
from ..clock import WallClock
from ..config import Settings
from ..door import LOOPBACK_NAMES
from ..engine import Engine
from ..listening import bind
from ..server import Server
from . import options


def serve(
    host: options.HostOption = None,
    port: options.PortOption = None,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    compute_type: options.ComputeTypeOption = None,
    dtype: options.DtypeOption = None,
    checkpoint: options.CheckpointOption = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option("--host-name", help="A further name under which this server is reached; repeatable."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin", help="A web page from elsewhere that may connect (https://...); repeatable."
        ),
    ] = None,
    config: options.ConfigOption = None,
) -> None:
    """Listen for websocket clients, each with audio of its own.

    Clients connect to ws://HOST:PORT/v1/stream; the page is at http://HOST:PORT/. Ctrl-C ends it: the
    finals in progress are still sent.
    """
    settings = options.settings_from(
        config,
        models=options.model_flags(asr, device, compute_type, dtype, checkpoint),
        vad={"name": vad},
        server={
            "host": host,
            "port": port,
            "host_names": host_name or None,
            "allow_origins": allow_origin or None,
        },
    )
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = options.load_engine(settings, console, clock)
    options.say_who_speaks(console, engine)
    asyncio.run(_serve(bound, engine, settings, clock, console))


async def _serve(
    bound: Socket, engine: Engine, settings: Settings, clock: WallClock, console: Console
) -> None:
    stop = on_interrupt()
    async with engine.running(), Server(bound, engine, settings, clock) as server:
        console.print(f"Listening on {server.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        if settings.server.host not in LOOPBACK_NAMES:
            console.print("Whoever reaches this address may use it: there is no token yet.", style="yellow")
        await stop.wait()
