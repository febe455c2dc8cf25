"""One part: its recordings played, their results and errors put into the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emostream.streamer.clock import WallClock
from emostream.streamer.config import Settings
from emostream.streamer.display_paths import shown
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

_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The same for all workers. out: a path or an address. options: jobs is per worker. run: its token."""

    out: str
    form: BatchFormat
    settings: Settings
    options: ReplayOptions
    run: str


class ShardRunner:
    """Inside `engine.running()`. node: for notes."""

    def __init__(self, engine: InferenceBackend, orders: JobSpec, catalogue: OutputStore, node: str) -> None:
        self._engine = engine
        self._orders = orders
        self._catalogue = catalogue
        self._attempts = RetryLog(catalogue.storage)
        self._node = node

    async def play(self, part: Shard) -> ShardRecord:
        """What is done already is not done again: Ray asks twice where it has lost an answer.

        Raises ClusterError where the folder is not there, or what we did not foresee happens.
        """
        self._catalogue.check(self._orders.run, self._node)
        if (done := self._catalogue.note(part)) is not None:
            return done
        attempt = self._attempts.begin(part)
        with scratch_folder() as scratch:
            note = await self._play(part, attempt, scratch)
        self._attempts.end(part)
        return note

    async def _play(self, part: Shard, attempt: Attempt, scratch: Path) -> ShardRecord:
        form = self._orders.form
        results, errors = scratch / "results", scratch / "errors"
        with (
            results.open("wb") as out,
            closing(FORMATS[form].begin(out, self._engine.model_info.labels, True)) as document,
        ):
            heard = await self._hear(part, attempt, document, scratch)
        rows = [row for one in heard for row in one.errors()]
        write_errors(rows, form, errors)
        model_info = self._engine.model_info
        note = ShardRecord(
            format=form,
            recordings=tuple(one.address for one in part.recordings),
            failed=tuple(one.recording.address for one in heard if not one.whole),
            whole=sum(one.whole for one in heard),
            audio_s=sum(one.audio_s for one in heard),
            utterances=sum(one.utterances for one in heard),
            errors=len(rows),
            told=tuple(row.told for row in rows[:_TOLD]),
            models=(model_info.asr, model_info.emotion),
            node=self._node,
        )
        self._catalogue.commit(part, results, errors, note, self._orders.run)
        return note

    async def _hear(
        self, part: Shard, attempt: Attempt, document: Document, scratch: Path
    ) -> list[RecordingTask]:
        """All of its recordings, but for those on which workers died."""
        hearings = [RecordingTask(one, scratch / str(number)) for number, one in enumerate(part.recordings)]
        jobs: list[ReplayJob] = []
        of_job: dict[int, RecordingTask] = {}
        for hearing in hearings:
            if attempt.should_skip(hearing.recording.address):
                hearing.leave_alone()
            elif (job := hearing.job()) is not None:
                of_job[id(job)] = hearing
                jobs.append(job)

        @asynccontextmanager
        async def outlet(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
            hearing = of_job[id(job)]
            async with self._noted(part, attempt, hearing), hearing.going_on(outcome):
                yield OutputSinks([document.add(shown(hearing.recording.name)), hearing])

        await self._player(attempt).run_all(jobs, outlet, asyncio.Event())
        return hearings

    @asynccontextmanager
    async def _noted(self, part: Shard, attempt: Attempt, hearing: RecordingTask) -> AsyncIterator[None]:
        if attempt.careful:
            self._attempts.play(part, attempt, hearing.recording.address)
        yield
        if attempt.careful:
            self._attempts.play(part, attempt, None)

    def _player(self, attempt: Attempt) -> ReplayRunner:
        orders = self._orders
        return ReplayRunner(
            self._engine,
            orders.settings,
            replace(orders.options, jobs=1) if attempt.careful else orders.options,
            WallClock(),
            on_done=lambda outcome: None,
        )
