"""Clusters of several Ray nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

# A worker sends no usage report, and gets no more threads than the nodes have cores.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@contextmanager
def cluster_of(*cpus: int, port: int | None = None) -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster`: a head without room for workers, and a node for each number of CPUs.

    port: of the head, where it is to be found again.
    """
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False} | ({} if port is None else {"gcs_server_port": port})
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        for number in cpus:
            cluster.add_node(num_cpus=number)
        yield cluster
    finally:
        cluster.shutdown()


def workers(cluster: Any, named: str) -> list[psutil.Process]:
    """Ray's processes below this cluster's nodes whose title has this in it."""
    mine = psutil.Process().children(recursive=True)
    found = []
    for process in mine:
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue  # it has just ended
        if title.startswith("ray::") and named in title:
            found.append(process)
    return found
