"""A Ray cluster, found or started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from emostream.streamer.errors import ClusterError
from emostream.streamer.extras import require


def require_ray(wanted_by: str) -> None:
    """Raises ConfigError where it is not installed."""
    require("ray", wanted_by, "ray")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """address: HOST:PORT of a cluster that this machine is part of, `local` for one of its own, or `auto`:
    the one that runs here already (or that RAY_ADDRESS names), and one of its own where there is none.

    Raises ClusterError.
    """
    # Read when Ray is imported: nobody is told that it runs here.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    try:
        ray.init(
            None if address == "auto" else address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = str(error).strip().splitlines()
        raise ClusterError(
            f"expected a Ray cluster at {address}, got: {said[0] if said else type(error).__name__}; "
            "start one with `ray start --head`, join it with `ray start --address=...`, or name none"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
