"""Connection to a Ray cluster, existing or started for the occasion."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from emostream.streamer.errors import ClusterError
from emostream.streamer.optional_deps import require

_CONNECT_TIMEOUT_S: Final = 5.0


def require_ray(wanted_by: str) -> None:
    """Raises ConfigError where Ray is not installed."""
    require("ray", wanted_by, "ray")


@contextmanager
def connect_to_ray(address: str) -> Iterator[None]:
    """Connect this process to a cluster, and shut Ray down at the end.

    address: HOST:PORT of a cluster that this machine is part of, `local` for a new one on this machine, or
    `auto` for the one that already runs here (or is named by RAY_ADDRESS), otherwise a new one.

    Raises ClusterError.
    """
    # Read when Ray is imported: no usage statistics, and late calls after the shutdown do not start another
    # cluster.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    import ray

    _check_reachable(address)
    try:
        ray.init(
            None if address == "auto" else address,
            include_dashboard=False,  # anyone who reaches a dashboard can run arbitrary code
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises exceptions of many types
        lines = str(error).strip().splitlines()
        raise _unavailable(address, lines[0] if lines else type(error).__name__) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises ClusterError where the address refuses connections; Ray itself would retry for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise _unavailable(address, "no HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise _unavailable(address, str(error)) from error


def _unavailable(address: str, got: str) -> ClusterError:
    return ClusterError(
        f"expected a Ray cluster at {address}, got: {got}; start one with `ray start --head`, join it from "
        "this machine with `ray start --address=HOST:PORT`, or name none"
    )
