"""`emostream serve`"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from socket import socket as Socket
from typing import Annotated

import typer
from rich.console import Console

from ..analysing import Analyser
from ..broadcast import on_interrupt
from ..clock import WallClock
from ..config import Settings
from ..diary import LogFormat, keep_diary
from ..door import LOOPBACK_NAMES
from ..listening import bind
from ..server import Server, check_doors
from . import options

log = logging.getLogger(__name__)


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
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", help="Tokens, one a line: a client needs one of them.", show_default=False
        ),
    ] = None,
    open_to_anyone: Annotated[
        bool,
        typer.Option("--open-to-anyone", help="Listen beyond this machine without tokens all the same."),
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate", help="PEM file with the chain, for TLS (wss, https).", show_default=False
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="PEM file with the certificate's key.", show_default=False)
    ] = None,
    text: Annotated[
        bool, typer.Option("--text/--no-text", help="Whether events carry what was said.")
    ] = True,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--log-format",
            help="Log sessions to standard error: text for people, json (an object a line) for programs. "
            "Sound and words are never written. Default: warnings only.",
            show_default=False,
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
            "token_file": None if token_file is None else str(token_file),
            "open_to_anyone": open_to_anyone or None,
            "certificate": None if certificate is None else str(certificate),
            "key": None if key is None else str(key),
            "text": None if text else False,
        },
    )
    if log_format is not None:
        keep_diary(log_format, "info")
    check_doors(settings.server)
    bound = bind(settings.server)
    console = Console(stderr=True, quiet=log_format == "json")  # a log for programs has no other lines
    clock = WallClock()
    engine = options.load_engine(settings, console, clock, live=True)
    options.say_who_speaks(console, engine.speakers)
    asyncio.run(_serve(bound, engine, settings, clock, console))


async def _serve(
    bound: Socket, engine: Analyser, settings: Settings, clock: WallClock, console: Console
) -> None:
    stop = on_interrupt()
    async with engine.running(), Server(bound, engine, settings, clock) as server:
        log.info("listening", extra={"facts": {"url": server.url}})
        console.print(f"Listening on {server.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        if settings.server.host not in LOOPBACK_NAMES and settings.server.token_file is None:
            console.print("Whoever reaches this address may use it: there is no token.", style="yellow")
        await stop.wait()
