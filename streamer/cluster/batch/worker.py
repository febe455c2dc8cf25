"""The Ray actor that judges: models loaded once, parts in, notes out."""

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
    """What Ray Data maps over parts. An error that a person should read is an answer, not an exception: Ray
    would start the actor again, and ask again.
    """

    def __init__(self, orders: JobSpec) -> None:
        self._trouble: str | None = None
        try:
            catalogue = OutputStore(orders.out, orders.form)
            catalogue.check(orders.run, node_id())
            engine = load_engine(orders.settings, WallClock())
        except (EmostreamError, ModelError) as error:
            self._trouble = str(error)
            return
        except Exception as error:  # Ray would load them again, and again
            log.exception("the models could not be loaded")
            said = f"{type(error).__name__}: {error}"
            self._trouble = f"expected to load the models on node {node_id()}, got {said}; report it"
            return
        remove_stale_scratch()
        self._at_work = EngineThread(engine)
        self._player = ShardRunner(engine, orders, catalogue, node_id())

    def __call__(self, batch: Batch) -> Batch:
        """One part -> its note; see `row` and `answer`."""
        if self._trouble is not None:
            return _answers(b"", self._trouble)
        (pickle_shard,) = batch["part"]
        try:
            note = self._at_work.wait_for(self._player.play(unpickle_shard(pickle_shard)))
        except (EmostreamError, ModelError) as error:
            return _answers(b"", str(error))
        except OSError as error:  # a full disk does not grow empty by asking again
            return _answers(b"", f"expected to write results on node {node_id()}, got: {error}; make room")
        except Exception as error:  # nor is what we did not foresee another thing the next time
            log.exception("a part could not be judged")
            said = f"{type(error).__name__}: {error}"
            return _answers(b"", f"expected a part to be judged, got {said}; report it")
        return _answers(note.encode(), "")


class EngineThread:
    """An engine that runs in a thread's event loop for as long as the process lives."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._run()), name="engine", daemon=True).start()
        self._ready.wait()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        async with self._engine.running():
            self._ready.set()
            await self._over.wait()

    def wait_for(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()


def pickle_shard(part: Shard) -> bytes:
    """For a row of the dataset: Arrow takes no name that is not UTF-8."""
    return pickle.dumps(part)


def unpickle_shard(data: bytes) -> Shard:
    part: Shard = pickle.loads(data)
    return part


def node_id() -> str:
    """As Ray names it."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _answers(note: bytes, trouble: str) -> Batch:
    return {"note": np.array([note], object), "trouble": np.array([trouble], object)}
