"""`emostream serve`: the websocket server and its page."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import socket as Socket
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from ..clock import Clock, WallClock
from ..config import Settings
from ..errors import ConfigError
from ..inference.backend import InferenceBackend
from ..server.app import Server
from ..server.listen import bind, check_credentials
from ..server.local_stream import stop_on_signals
from ..server.log import LogFormat, configure_logging
from ..server.origin import LOOPBACK_NAMES
from .console import load_engine, print_models
from .option_groups import with_option_groups
from .options import ModelOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where the server listens, and who may connect."""

    host: Annotated[
        str | None,
        typer.Option("--host", help="Address to listen on. Default: 127.0.0.1.", show_default=False),
    ] = None
    port: Annotated[
        int | None, typer.Option("--port", help="Port to listen on. Default: 8765.", show_default=False)
    ] = None
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="Another host name that this server is reached by; repeatable."),
    ] = None
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            help="Origin (https://...) of a web page of another site that may connect; repeatable.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="File of tokens, one per line; a client needs one of them.",
            show_default=False,
        ),
    ] = None
    no_auth: Annotated[
        bool,
        typer.Option("--no-auth", help="Listen on an address beyond this machine without tokens."),
    ] = False
    ssl_certfile: Annotated[
        Path | None,
        typer.Option(
            "--ssl-certfile", help="PEM file of the certificate chain, for wss and https.", show_default=False
        ),
    ] = None
    ssl_keyfile: Annotated[
        Path | None,
        typer.Option("--ssl-keyfile", help="PEM file of the certificate's private key.", show_default=False),
    ] = None
    transcript: Annotated[
        bool, typer.Option("--transcript/--no-transcript", help="Whether events carry the transcript.")
    ] = True

    def section(self) -> dict[str, Any]:
        """The settings' section `server`; None leaves one as it is."""
        return {
            "host": self.host,
            "port": self.port,
            "allowed_hosts": self.allowed_host or None,
            "allow_origins": self.allow_origin or None,
            "token_file": None if self.token_file is None else str(self.token_file),
            "no_auth": self.no_auth or None,
            "ssl_certfile": None if self.ssl_certfile is None else str(self.ssl_certfile),
            "ssl_keyfile": None if self.ssl_keyfile is None else str(self.ssl_keyfile),
            "transcript": None if self.transcript else False,
        }


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
    settings = models.settings(server=server.section())
    if engine == "local" and ray_address is not None:
        raise ConfigError(f"expected --engine ray with --ray-address {ray_address}, got local; add it")
    if log_format is not None:
        configure_logging(log_format, "info")
    check_credentials(settings.server)
    bound = bind(settings.server)
    console = Console(stderr=True, quiet=log_format == "json")  # a JSON log has no other lines
    clock = WallClock()
    if engine == "ray":
        backend: InferenceBackend = _remote_engine(ray_address or "auto", settings, clock)
    else:
        backend = load_engine(settings, console, clock, live=True)
    asyncio.run(_serve(bound, backend, settings, clock, console))


def _remote_engine(address: str, settings: Settings, clock: Clock) -> InferenceBackend:
    """Raises ConfigError where Ray is not installed."""
    from emostream.streamer.cluster.ray_cluster import require_ray
    from emostream.streamer.cluster.serving.remote_engine import RemoteEngine

    require_ray("--engine ray")
    return RemoteEngine(address, settings, clock)


async def _serve(
    bound: Socket, engine: InferenceBackend, settings: Settings, clock: Clock, console: Console
) -> None:
    async with AsyncExitStack() as stack:
        with console.status("Connecting to the models ..."):
            await stack.enter_async_context(engine.running())
        stop = stop_on_signals()  # before, Ctrl-C interrupts
        print_models(console, engine.model_info)
        server = await stack.enter_async_context(Server(bound, engine, settings, clock))
        log.info("listening", extra={"fields": {"url": server.url}})
        console.print(f"Listening on {server.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        if settings.server.host not in LOOPBACK_NAMES and settings.server.token_file is None:
            console.print(
                "Anyone who can reach this address can use it: no token is required.", style="yellow"
            )
        await stop.wait()
