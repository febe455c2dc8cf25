"""A Ray cluster, found or started."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from emostream.streamer.errors import ClusterError
from emostream.streamer.optional_deps import require

_KNOCK_S: Final = 5.0


def require_ray(wanted_by: str) -> None:
    """Raises ConfigError where it is not installed."""
    require("ray", wanted_by, "ray")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """address: HOST:PORT of a cluster that this machine is part of, `local` for one of its own, or `auto`:
    the one that runs here already (or that RAY_ADDRESS names), and one of its own where there is none.

    Raises ClusterError.
    """
    # Read when Ray is imported: nobody is told that it runs here, and what asks for a cluster behind the end
    # of this one does not start another.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    import ray

    _knock(address)
    try:
        ray.init(
            None if address == "auto" else address,
            include_dashboard=False,  # of one of its own: whoever reaches it may run anything
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises whatever it meets
        said = str(error).strip().splitlines()
        raise _not_there(address, said[0] if said else type(error).__name__) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ray itself knocks for minutes. Raises ClusterError where nobody opens."""
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise _not_there(address, "no HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise _not_there(address, str(error)) from error


def _not_there(address: str, got: str) -> ClusterError:
    return ClusterError(
        f"expected a Ray cluster at {address}, got: {got}; start one with `ray start --head`, join it from "
        "this machine with `ray start --address=HOST:PORT`, or name none"
    )
