"""The Ray actor of a batch job: loads the models once, takes shards and returns their records."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np

from emostream.models import ModelError
from emostream.streamer.clock import WallClock
from emostream.streamer.errors import EmostreamError
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.load_models import load_engine

from .output_store import OutputStore
from .scratch import remove_stale_scratch
from .shard_runner import JobSpec, ShardRunner
from .shards import Shard

log = logging.getLogger(__name__)

T = TypeVar("T")

Batch = dict[str, "np.ndarray[Any, Any]"]


class ReplayWorker:
    """The callable class that Ray Data maps over shards. Errors for the user are returned, not raised: Ray
    would restart the actor and retry.
    """

    def __init__(self, job: JobSpec) -> None:
        self._load_error: str | None = None
        try:
            store = OutputStore(job.out, job.form)
            store.check(job.run, node_id())
            engine = load_engine(job.settings, WallClock())
        except (EmostreamError, ModelError) as error:
            self._load_error = str(error)
            return
        except Exception as error:  # Ray would retry the loading again and again
            log.exception("the models could not be loaded")
            reason = f"{type(error).__name__}: {error}"
            self._load_error = f"expected to load the models on node {node_id()}, got {reason}; report it"
            return
        remove_stale_scratch()
        self._engine_thread = EngineThread(engine)
        self._runner = ShardRunner(engine, job, store, node_id())

    def __call__(self, batch: Batch) -> Batch:
        """One shard -> its record; see `pickle_shard` and `_result_row`."""
        if self._load_error is not None:
            return _result_row(b"", self._load_error)
        (pickled,) = batch["shard"]
        try:
            record = self._engine_thread.run(self._runner.run(unpickle_shard(pickled)))
        except (EmostreamError, ModelError) as error:
            return _result_row(b"", str(error))
        except OSError as error:  # a retry does not help against a full disk
            return _result_row(b"", f"expected to write results on node {node_id()}, got: {error}; make room")
        except Exception as error:  # nor against an unexpected error
            log.exception("a shard could not be processed")
            reason = f"{type(error).__name__}: {error}"
            return _result_row(b"", f"expected a shard to be processed, got {reason}; report it")
        return _result_row(record.encode(), "")


class EngineThread:
    """Runs an engine in the event loop of a thread, for the lifetime of the process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._run()), name="engine", daemon=True).start()
        self._ready.wait()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        async with self._engine.running():
            self._ready.set()
            await self._stopped.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def pickle_shard(shard: Shard) -> bytes:
    """Encode a shard for the dataset: Arrow strings cannot hold names that are not UTF-8."""
    return pickle.dumps(shard)


def unpickle_shard(data: bytes) -> Shard:
    shard: Shard = pickle.loads(data)
    return shard


def node_id() -> str:
    """Ray's id of this node."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _result_row(record: bytes, error: str) -> Batch:
    return {"record": np.array([record], object), "error": np.array([error], object)}
