"""`emostream wyoming`: speech to text with emotion, for Home Assistant."""

from __future__ import annotations

import asyncio
from socket import socket as Socket

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
from .options import ModelOptions


def wyoming(
    *,
    host: str,
    port: int,
    no_auth: bool,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.wyoming` has its options."""
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
