"""The server's address, taken before anything slow is done."""

from __future__ import annotations

import os
import socket

from ..config import ServerSettings
from ..errors import ConfigError, ListenError
from .origin import LOOPBACK_NAMES


def bind(settings: ServerSettings) -> socket.socket:
    """A bound socket that does not listen yet: who connects before the models are warm is refused.

    Raises ListenError where the address cannot be had, and ConfigError where others could reach it and
    nobody has said who may.
    """
    host, port = settings.host, settings.port
    if host not in LOOPBACK_NAMES and settings.token_file is None and not settings.no_auth:
        raise ConfigError(
            f"expected --token-file for a server that other machines reach ({host}), got none: "
            "whoever finds it "
            "could use it; make one with `openssl rand -hex 24 > tokens.txt`, or say "
            "--no-auth (in a settings file: server.token_file, server.no_auth)"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            # A port whose last connections are still saying goodbye is free; on Windows the same
            # option would let two servers share it.
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
