"""Processing of one shard: replay of its recordings, storage of their results and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emostream.streamer.clock import WallClock
from emostream.streamer.config import Settings
from emostream.streamer.display_paths import printable
from emostream.streamer.inference.backend import InferenceBackend
from emostream.streamer.output.document import Document
from emostream.streamer.output.formats import FORMATS
from emostream.streamer.replay.discovery import ReplayJob
from emostream.streamer.replay.outputs import OutputSinks, ReplayOutcome
from emostream.streamer.replay.runner import ReplayOptions, ReplayRunner

from .errors_table import write_errors
from .output_store import OutputStore
from .recording_task import RecordingTask
from .retries import Attempt, RetryLog
from .scratch import scratch_folder
from .shard_record import BatchFormat, ShardRecord
from .shards import Shard

_MAX_MESSAGES: Final = 10


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The job, the same for all workers. out: a path or a URI. options: jobs is per worker. run: its
    token."""

    out: str
    form: BatchFormat
    settings: Settings
    options: ReplayOptions
    run: str


class ShardRunner:
    """Use it inside `engine.running()`. node: for the records."""

    def __init__(self, engine: InferenceBackend, job: JobSpec, store: OutputStore, node: str) -> None:
        self._engine = engine
        self._job = job
        self._store = store
        self._retries = RetryLog(store.storage)
        self._node = node

    async def run(self, shard: Shard) -> ShardRecord:
        """Process a shard. A completed one is not repeated: Ray retries where a reply was lost.

        Raises ClusterError where the output folder is missing, or another run has taken it over.
        """
        self._store.check(self._job.run, self._node)
        if (completed := self._store.record(shard)) is not None:
            return completed
        attempt = self._retries.begin(shard)
        with scratch_folder() as scratch:
            record = await self._process(shard, attempt, scratch)
        self._retries.clear(shard)
        return record

    async def _process(self, shard: Shard, attempt: Attempt, scratch: Path) -> ShardRecord:
        form = self._job.form
        results, errors = scratch / "results", scratch / "errors"
        with (
            results.open("wb") as out,
            closing(FORMATS[form].begin(out, self._engine.model_info.labels, True)) as document,
        ):
            tasks = await self._replay(shard, attempt, document, scratch)
        rows = [row for task in tasks for row in task.errors()]
        write_errors(rows, form, errors)
        model_info = self._engine.model_info
        record = ShardRecord(
            format=form,
            recordings=tuple(recording.address for recording in shard.recordings),
            failed=tuple(task.recording.address for task in tasks if not task.complete),
            complete=sum(task.complete for task in tasks),
            audio_s=sum(task.audio_s for task in tasks),
            utterances=sum(task.utterances for task in tasks),
            errors=len(rows),
            messages=tuple(row.description for row in rows[:_MAX_MESSAGES]),
            models=(model_info.asr, model_info.emotion),
            node=self._node,
        )
        self._store.commit(shard, results, errors, record, self._job.run)
        return record

    async def _replay(
        self, shard: Shard, attempt: Attempt, document: Document, scratch: Path
    ) -> list[RecordingTask]:
        """Replay all recordings, except those on which workers died."""
        tasks = [
            RecordingTask(recording, scratch / str(number))
            for number, recording in enumerate(shard.recordings)
        ]
        jobs: list[ReplayJob] = []
        task_of: dict[int, RecordingTask] = {}
        for task in tasks:
            if attempt.should_skip(task.recording.address):
                task.skip()
            elif (job := task.job()) is not None:
                task_of[id(job)] = task
                jobs.append(job)

        @asynccontextmanager
        async def sinks(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
            task = task_of[id(job)]
            async with self._logged(shard, attempt, task), task.running(outcome):
                yield OutputSinks([document.add(printable(task.recording.name)), task])

        await self._replay_runner(attempt).run_all(jobs, sinks, asyncio.Event())
        return tasks

    @asynccontextmanager
    async def _logged(self, shard: Shard, attempt: Attempt, task: RecordingTask) -> AsyncIterator[None]:
        if attempt.isolated:
            self._retries.mark_in_progress(shard, attempt, task.recording.address)
        yield
        if attempt.isolated:
            self._retries.mark_in_progress(shard, attempt, None)

    def _replay_runner(self, attempt: Attempt) -> ReplayRunner:
        job = self._job
        return ReplayRunner(
            self._engine,
            job.settings,
            replace(job.options, jobs=1) if attempt.isolated else job.options,
            WallClock(),
            on_done=lambda outcome: None,
        )
