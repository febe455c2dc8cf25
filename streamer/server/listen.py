"""The listening socket, bound before anything slow is done, and the check of tokens and certificate."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from ..config import ServerSettings
from ..errors import ConfigError, ListenError
from .auth import read_tokens
from .incoming import IncomingConnection, IncomingConnections, ServeRequest, report_accept_errors
from .origin import LOOPBACK_NAMES
from .tls import make_tls_context

_TLS_HANDSHAKE_S: Final = 10.0  # as long as the handshake of the websocket may take
_FIRST_BYTE_S: Final = 10.0


def bind(settings: ServerSettings) -> socket.socket:
    """A bound socket that does not listen yet: connections are refused until a server starts on it.

    Raises ListenError where the address is not available, and ConfigError where other machines could reach it
    and there are neither tokens nor `--no-auth`.
    """
    host, port = settings.host, settings.port
    if host not in LOOPBACK_NAMES and settings.token_file is None and not settings.no_auth:
        raise ConfigError(
            f"expected --token-file for a server that other machines reach ({host}), got none: "
            "any machine on the network could use it; make one with `openssl rand -hex 24 > tokens.txt`, or "
            "use --no-auth (in a settings file: server.token_file, server.no_auth)"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            # A port whose last connections are still in TIME_WAIT is free; on Windows the same option would
            # let two servers share it.
            if os.name == "posix":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:  # a name too long for the DNS is the latter
        raise listen_error(settings, error) from error
    return bound


async def start_listening(
    bound: socket.socket,
    settings: ServerSettings,
    incoming: IncomingConnections,
    tls: ssl.SSLContext | None,
    *,
    handler: Callable[[ServerConnection], Awaitable[None]],
    process_request: Callable[[ServerConnection, Request], Awaitable[Response | None]],
    serve_request: ServeRequest,
    **options: Any,
) -> Server:
    """Listen on a socket of `bind`. handler, process_request, options: of `websockets`. serve_request: for
    requests with another method. Raises ListenError.
    """
    # Broken handshakes of unknown clients are not logged; our own failures are, by the handler.
    quiet = logging.getLogger("emostream.websockets")
    quiet.setLevel(logging.CRITICAL)
    report_accept_errors(asyncio.get_running_loop())
    options["create_connection"] = partial(
        IncomingConnection, incoming=incoming, serve_request=serve_request, first_byte_s=_FIRST_BYTE_S
    )
    if tls is not None:
        options["ssl_handshake_timeout"] = _TLS_HANDSHAKE_S
    try:
        return await serve(
            handler,
            sock=bound,
            process_request=process_request,
            ssl=tls,
            compression=None,
            server_header=None,
            logger=quiet,
            **options,
        )
    except OSError as error:  # another server that was bound at the same time listened first
        raise listen_error(settings, error) from error


def listen_error(settings: ServerSettings, error: OSError | UnicodeError) -> ListenError:
    got = (error.strerror if isinstance(error, OSError) else None) or error
    return ListenError(
        f"expected to listen on {settings.host} port {settings.port}, got: {got}; "
        "end the other program or choose another --port or --host"
    )


def check_credentials(settings: ServerSettings) -> None:
    """Read tokens and certificate before models are loaded. Raises ConfigError."""
    if settings.token_file is not None:
        read_tokens(Path(settings.token_file))
    make_tls_context(settings)
