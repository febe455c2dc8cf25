"""A batch job on a Ray cluster: shards are distributed to workers, their records returned as they finish."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emostream.streamer.errors import ClusterError

from ..ray_logging import silence_ray_data
from .shard_record import ShardRecord
from .shard_runner import JobSpec
from .shards import Shard
from .worker import ReplayWorker, pickle_shard

_SHARDS_PER_WORKER: Final = 2
"""Shards assigned to a worker at a time: the current one and the next."""
_MAX_LOADING_DEATHS: Final = 10
"""Consecutive deaths of workers that have not loaded yet: nodes may come and go while models are loaded."""


_ERROR: Final = re.compile(r"[\w.]*(Error|Exception): ")


@dataclass(frozen=True, slots=True)
class WorkerPool:
    """The resources of a job. cpus, gpus: of each worker. workers: how many fit into the cluster at present.
    limit: None is as many as the cluster can hold. nodes: those with room for at least one.
    """

    cpus: float
    gpus: float
    workers: int
    limit: int | None
    nodes: int


def plan_workers(cpus: float, gpus: float, limit: int | None) -> WorkerPool:
    """The pool for the cluster that this process is connected to. Raises ClusterError where no node has the
    resources for a worker."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray has not annotated it
    per_node = [_workers_on(node["Resources"], cpus, gpus) for node in nodes if node["Alive"]]
    workers = sum(per_node)
    if limit is None and workers == 0:
        raise ClusterError(
            f"expected a node with {cpus:g} CPUs and {gpus:g} GPUs for a worker, got none in this cluster; "
            "lower --cpus-per-worker or --gpus-per-worker, or name --workers where the cluster grows"
        )
    at_present = min(workers, limit or workers) or limit or 1
    return WorkerPool(cpus, gpus, at_present, limit, max(1, sum(count > 0 for count in per_node)))


def _workers_on(resources: dict[str, float], cpus: float, gpus: float) -> int:
    wanted = {"CPU": cpus, "GPU": gpus}
    return min(int(resources.get(name, 0.0) / each + 1e-9) for name, each in wanted.items() if each)


def run_shards(shards: Sequence[Shard], job: JobSpec, pool: WorkerPool) -> Generator[ShardRecord, None, None]:
    """The records of the shards in the order of their completion. Shards of a lost worker or node are
    retried.

    Raises ClusterError where the models cannot be loaded, and for unexpected errors.
    """
    import ray

    dataset = _dataset(shards, job, pool)
    try:
        for batch in dataset.iter_batches(prefetch_batches=0, batch_size=None, batch_format="numpy"):
            for data, error in zip(batch["record"], batch["error"], strict=True):
                if error:
                    raise ClusterError(str(error))
                yield ShardRecord.decode(bytes(data))
    except ray.exceptions.RayError as error:
        raise ClusterError(f"expected the workers to go on, got: {_cause(error)}; see Ray's logs") from error


def _dataset(shards: Sequence[Shard], job: JobSpec, pool: WorkerPool) -> Any:
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    silence_ray_data()
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = _MAX_LOADING_DEATHS
    context.max_errored_blocks = 0
    workers = min(pool.workers, len(shards))
    # One block per shard, so that each is assigned and retried by itself.
    rows = ray.data.from_items(
        [{"shard": pickle_shard(shard)} for shard in shards], override_num_blocks=len(shards)
    )
    return rows.map_batches(
        ReplayWorker,
        fn_constructor_args=(job,),
        batch_size=1,
        batch_format="numpy",
        compute=ActorPoolStrategy(
            # A lost node may not return: the run continues with fewer workers.
            min_size=1,
            initial_size=workers,
            max_size=pool.limit,
            max_tasks_in_flight_per_actor=_SHARDS_PER_WORKER,
        ),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        # Ray Data's defaults for actors fit: a lost worker is restarted and its shards are retried, without
        # limit; exceptions of our code are not retried.
    )


def _cause(error: Exception) -> str:
    """One line of a multi-line error of Ray's: the worker's own error where there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    worker_errors = [line for line in lines if _ERROR.match(line)]
    return (worker_errors or lines or [type(error).__name__])[-1 if worker_errors else 0]
