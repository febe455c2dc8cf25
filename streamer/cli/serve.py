"""`emostream serve`"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from socket import socket as Socket
from typing import Annotated, Literal

import typer
from rich.console import Console

from ..clock import Clock, WallClock
from ..config import Settings
from ..errors import ConfigError
from ..inference.backend import InferenceBackend
from ..server.app import Server, check_credentials
from ..server.listen import bind
from ..server.local_stream import stop_on_signals
from ..server.log import LogFormat, configure_logging
from ..server.origin import LOOPBACK_NAMES
from . import options

log = logging.getLogger(__name__)


def serve(
    address: Annotated[
        str | None,
        typer.Argument(
            help="With --engine ray: HOST:PORT of a cluster that this machine is part of. Default: the one "
            "that runs here, or one of its own.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine",
            help="Where the models are: in this process, or in a Ray cluster whose models servers share. How "
            "many copies there are, and of which size: the section [bold]cluster[/bold] of --config.",
        ),
    ] = "local",
    host: options.HostOption = None,
    port: options.PortOption = None,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    compute_type: options.ComputeTypeOption = None,
    dtype: options.DtypeOption = None,
    checkpoint: options.CheckpointOption = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="A further name under which this server is reached; repeatable."),
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
    no_auth: Annotated[
        bool,
        typer.Option("--no-auth", help="Listen beyond this machine without tokens all the same."),
    ] = False,
    ssl_certfile: Annotated[
        Path | None,
        typer.Option(
            "--ssl-certfile", help="PEM file with the chain, for TLS (wss, https).", show_default=False
        ),
    ] = None,
    ssl_keyfile: Annotated[
        Path | None,
        typer.Option("--ssl-keyfile", help="PEM file with the certificate's key.", show_default=False),
    ] = None,
    transcript: Annotated[
        bool, typer.Option("--transcript/--no-transcript", help="Whether events carry what was said.")
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
            "allowed_hosts": allowed_host or None,
            "allow_origins": allow_origin or None,
            "token_file": None if token_file is None else str(token_file),
            "no_auth": no_auth or None,
            "ssl_certfile": None if ssl_certfile is None else str(ssl_certfile),
            "ssl_keyfile": None if ssl_keyfile is None else str(ssl_keyfile),
            "transcript": None if transcript else False,
        },
    )
    if log_format is not None:
        configure_logging(log_format, "info")
    check_credentials(settings.server)
    if engine == "local" and address is not None:
        raise ConfigError(f"expected --engine ray with an address ({address}), got local; add it")
    bound = bind(settings.server)
    console = Console(stderr=True, quiet=log_format == "json")  # a log for programs has no other lines
    clock = WallClock()
    if engine == "ray":
        analyser: InferenceBackend = _shared(address or "auto", settings, clock)
    else:
        analyser = options.load_engine(settings, console, clock, live=True)
    asyncio.run(_serve(bound, analyser, settings, clock, console))


def _shared(address: str, settings: Settings, clock: Clock) -> InferenceBackend:
    """Raises ConfigError where Ray is not installed."""
    from emostream.streamer.cluster.ray_cluster import require_ray
    from emostream.streamer.cluster.serving.remote_engine import RemoteEngine

    require_ray("--engine ray")
    return RemoteEngine(address, settings, clock)


async def _serve(
    bound: Socket, engine: InferenceBackend, settings: Settings, clock: Clock, console: Console
) -> None:
    async with AsyncExitStack() as house:
        with console.status("Connecting to the models ..."):
            await house.enter_async_context(engine.running())
        stop = stop_on_signals()  # until here it is taken literally
        options.print_models(console, engine.model_info)
        server = await house.enter_async_context(Server(bound, engine, settings, clock))
        log.info("listening", extra={"facts": {"url": server.url}})
        console.print(f"Listening on {server.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        if settings.server.host not in LOOPBACK_NAMES and settings.server.token_file is None:
            console.print("Whoever reaches this address may use it: there is no token.", style="yellow")
        await stop.wait()
