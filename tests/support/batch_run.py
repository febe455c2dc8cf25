"""A batch job on one output folder, with fake models and without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emostream.streamer.clock import WallClock
from emostream.streamer.cluster.batch.output_store import OutputStore
from emostream.streamer.cluster.batch.shard_record import BatchFormat
from emostream.streamer.cluster.batch.shard_runner import JobSpec, ShardRunner
from emostream.streamer.cluster.batch.shards import Shard
from emostream.streamer.config import Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.replay.runner import ReplayOptions
from tests.support.fakes import FakeRecognizer
from tests.support.programs import json_lines


class BatchRun:
    """One run of a batch job. fails_on: lengths in ms of utterances on which the fake models fail."""

    def __init__(self, folder: Path, form: BatchFormat = "jsonl", fails_on: Sequence[int] = ()) -> None:
        self.folder = folder
        self.store = OutputStore(str(folder), form)
        self.asr = "none"
        self._fails_on = fails_on

    def begin(self, *wanted: str, resume: bool = False) -> None:
        self.done, self.run = self.store.begin({"models.asr": self.asr}, wanted, resume=resume)

    def process(self, shard: Shard) -> Any:
        job = JobSpec(str(self.folder), self.store.form, Settings(), ReplayOptions(jobs=2), self.run)

        async def run() -> Any:
            engine = Engine(None, FakeRecognizer(self._fails_on), WallClock())
            async with engine.running():
                return await ShardRunner(engine, job, self.store, "n").run(shard)

        return asyncio.run(run())

    def lines(self, folder: str) -> list[dict[str, Any]]:
        files = sorted((self.folder / folder).glob("*.jsonl"))
        return [line for file in files for line in json_lines(file.read_text())]

    def completed(self) -> list[str]:
        """Names of the recordings that were processed to their end, sorted."""
        return sorted(line["file"] for line in self.lines("results") if line["type"] == "closed")

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}


def write_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
