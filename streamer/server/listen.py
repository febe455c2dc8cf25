"""The listening socket, bound before anything slow is done, and the check of tokens and certificate."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ..config import ServerSettings
from ..errors import ConfigError, ListenError
from .auth import read_tokens
from .origin import LOOPBACK_NAMES
from .tls import make_tls_context


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
