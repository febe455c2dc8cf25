"""`emostream serve`: the websocket server and its page."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from socket import socket as Socket
from typing import Literal

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
from .console import load_engine_behind_page, print_models
from .options import ModelOptions
from .server_options import ServerOptions

log = logging.getLogger(__name__)


def serve(
    *,
    engine: Literal["local", "ray"],
    ray_address: str | None,
    log_format: LogFormat | None,
    server: ServerOptions,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.serve` has its options."""
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
        backend = load_engine_behind_page(bound, settings, console, clock)
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
