"""Processing of one recording on a worker: download of a remote one, errors and totals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from emostream.models import ModelError
from emostream.streamer.display_paths import printable
from emostream.streamer.errors import AnalysisError, EmostreamError, SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.protocol.error_codes import ErrorCode
from emostream.streamer.replay.discovery import ReplayJob, make_job
from emostream.streamer.replay.outputs import ReplayOutcome

from .discovery import RecordingRef, fetch, recording_suffix
from .errors_table import ErrorRow
from .uris import is_uri

log = logging.getLogger(__name__)


class WorkerCrashError(SourceError):
    """Workers died while they processed nothing but this recording."""

    code = ErrorCode.WORKER_DIED


class UnexpectedError(SourceError):
    """An unexpected exception in the processing of this recording; the others are still processed."""

    code = ErrorCode.INTERNAL


class RecordingTask:
    """Prepares a recording's replay job and collects its errors. scratch: a path for a local copy."""

    def __init__(self, recording: RecordingRef, scratch: Path) -> None:
        self.recording = recording
        self._is_remote = is_uri(recording.address)
        # Some formats are recognized by their suffix only.
        self._copy = scratch.with_suffix(recording_suffix(recording.address))
        self._outcome: ReplayOutcome | None = None
        self._failure: SourceError | None = None
        self._failed_utterances: list[messages.Error] = []

    def job(self) -> ReplayJob | None:
        """The replay job; None where the recording cannot be read."""
        if self._is_remote:
            return ReplayJob(self._copy, self.recording.name)
        try:
            return make_job(Path(self.recording.address), self.recording.name)
        except SourceError as error:
            self._failure = error
        except Exception as error:
            self._failure = self._unexpected(error)
        return None

    def skip(self) -> None:
        """Record that workers died on it."""
        self._failure = WorkerCrashError(
            "expected a recording that can be played, but two workers died on "
            f"{printable(self.recording.name)} while they processed nothing else; "
            "replay it alone to see why, or convert it"
        )

    @asynccontextmanager
    async def running(self, outcome: ReplayOutcome) -> AsyncIterator[None]:
        """Active during the replay. Only errors that affect every recording are raised: a failure of the
        engine, or results that cannot be written.
        """
        self._outcome = outcome
        download_error: SourceError | None = None
        if self._is_remote:
            try:
                await asyncio.to_thread(fetch, self.recording.address, self._copy)
            except SourceError as error:
                download_error = error
        unexpected: SourceError | None = None
        try:
            yield
        except (EmostreamError, ModelError, OSError):
            raise
        except Exception as error:
            unexpected = self._unexpected(error)
        finally:
            self._copy.unlink(missing_ok=True)
        self._failure = download_error or unexpected or outcome.failure

    def _unexpected(self, error: Exception) -> SourceError:
        name = printable(self.recording.name)
        log.error("%s could not be processed", name, exc_info=error)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return UnexpectedError(f"expected to process {name}, got {reason}; convert it, and report it")

    async def send(self, event: messages.ServerEvent) -> None:
        """As an event sink: collect the errors of utterances without a result."""
        if isinstance(event, messages.Error) and event.code == AnalysisError.code:
            self._failed_utterances.append(event)

    @property
    def complete(self) -> bool:
        return self._failure is None

    @property
    def audio_s(self) -> float:
        totals = None if self._outcome is None else self._outcome.totals
        return 0.0 if totals is None else totals.audio_ms / 1_000

    @property
    def utterances(self) -> int:
        totals = None if self._outcome is None else self._outcome.totals
        return 0 if totals is None else totals.utterances

    def errors(self) -> Iterator[ErrorRow]:
        """The rows of the errors table, in order of occurrence."""
        name = printable(self.recording.name)
        for error in self._failed_utterances:
            yield ErrorRow(name, error.code, printable(error.message), error.utterance, self.audio_s)
        if self._failure is not None:
            message = printable(str(self._failure)).replace(str(self._copy), name)
            yield ErrorRow(name, self._failure.code, message, None, self.audio_s)
