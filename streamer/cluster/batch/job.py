"""An archive on a Ray cluster: parts dealt out to judges, their notes as they come back."""

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

_WAITING: Final = 2
"""Parts that a judge holds: the one it plays and the next."""
_DEATHS_AT_FIRST: Final = 10
"""In a row, of judges that had not loaded yet: nodes may come and go while models are loaded."""


_ERROR: Final = re.compile(r"[\w.]*(Error|Exception): ")


@dataclass(frozen=True, slots=True)
class WorkerPool:
    """cpus, gpus: of each worker. workers: how many there are room for at present. most: None is as many as
    the cluster will have room for. nodes: that have room for one.
    """

    cpus: float
    gpus: float
    workers: int
    most: int | None
    nodes: int


def room(cpus: float, gpus: float, most: int | None) -> WorkerPool:
    """In the cluster that this process is connected to. Raises ClusterError where there is none."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray has not annotated it
    per_node = [_room_on(node["Resources"], cpus, gpus) for node in nodes if node["Alive"]]
    workers = sum(per_node)
    if most is None and workers == 0:
        raise ClusterError(
            f"expected a node with {cpus:g} CPUs and {gpus:g} GPUs for a worker, got none in this cluster; "
            "lower --cpus-per-worker or --gpus-per-worker, or name --workers where the cluster grows"
        )
    at_present = min(workers, most or workers) or most or 1
    return WorkerPool(cpus, gpus, at_present, most, max(1, sum(here > 0 for here in per_node)))


def _room_on(resources: dict[str, float], cpus: float, gpus: float) -> int:
    wanted = {"CPU": cpus, "GPU": gpus}
    return min(int(resources.get(name, 0.0) / each + 1e-9) for name, each in wanted.items() if each)


def judged(parts: Sequence[Shard], orders: JobSpec, pool: WorkerPool) -> Generator[ShardRecord, None, None]:
    """In the order in which they are done. A worker or node that is lost costs its parts another attempt.

    Raises ClusterError where the models cannot be loaded, and where the program fails.
    """
    import ray

    dataset = _dataset(parts, orders, pool)
    try:
        for batch in dataset.iter_batches(prefetch_batches=0, batch_size=None, batch_format="numpy"):
            for data, trouble in zip(batch["note"], batch["trouble"], strict=True):
                if trouble:
                    raise ClusterError(str(trouble))
                yield ShardRecord.decode(bytes(data))
    except ray.exceptions.RayError as error:
        raise ClusterError(f"expected the workers to go on, got: {_cause(error)}; see Ray's logs") from error


def _dataset(parts: Sequence[Shard], orders: JobSpec, pool: WorkerPool) -> Any:
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    silence_ray_data()
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = _DEATHS_AT_FIRST
    context.max_errored_blocks = 0
    workers = min(pool.workers, len(parts))
    # A block a part, so that each is dealt out and tried again by itself.
    rows = ray.data.from_items(
        [{"part": pickle_shard(part)} for part in parts], override_num_blocks=len(parts)
    )
    return rows.map_batches(
        ReplayWorker,
        fn_constructor_args=(orders,),
        batch_size=1,
        batch_format="numpy",
        compute=ActorPoolStrategy(
            # A node that is lost may not come back: the run goes on with fewer.
            min_size=1,
            initial_size=workers,
            max_size=pool.most,
            max_tasks_in_flight_per_actor=_WAITING,
        ),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        # Ray Data's defaults for actors are what we want: a worker that is lost is started again, and its
        # parts are tried again, without limit; what our code raises is not.
    )


def _cause(error: Exception) -> str:
    """On one line: of what Ray says in many, the worker's own error where there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if _ERROR.match(line)]
    return (own or lines or [type(error).__name__])[-1 if own else 0]
