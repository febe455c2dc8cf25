"""One recording on a worker: fetched where it is far, and what there is to tell about it in the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from emostream.models import ModelError
from emostream.streamer.display_paths import shown
from emostream.streamer.errors import AnalysisError, EmostreamError, SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.protocol.error_codes import ErrorCode
from emostream.streamer.replay.discovery import ReplayJob, make_job
from emostream.streamer.replay.outputs import ReplayOutcome

from .discovery import Recording, fetch, recording_suffix
from .errors_table import ErrorRow
from .uris import is_uri

log = logging.getLogger(__name__)


class WorkerCrashError(SourceError):
    """Workers died on this recording, each time that it was played alone."""

    code = ErrorCode.WORKER_DIED


class UnexpectedError(SourceError):
    """Something in this recording is more than the program bears. The others are played all the same."""

    code = ErrorCode.INTERNAL


class RecordingTask:
    """scratch: a path for a copy of it."""

    def __init__(self, recording: Recording, scratch: Path) -> None:
        self.recording = recording
        self._far = is_uri(recording.address)
        # Some formats are known by the end of their name.
        self._copy = scratch.with_suffix(recording_suffix(recording.address))
        self._outcome: ReplayOutcome | None = None
        self._failure: SourceError | None = None
        self._lapses: list[messages.Error] = []

    def job(self) -> ReplayJob | None:
        """None where it cannot be played."""
        if self._far:
            return ReplayJob(self._copy, self.recording.name)
        try:
            return make_job(Path(self.recording.address), self.recording.name)
        except SourceError as error:
            self._failure = error
        except Exception as error:
            self._failure = self._unforeseen(error)
        return None

    def leave_alone(self) -> None:
        self._failure = WorkerCrashError(
            f"expected a recording that can be played, but two workers died on {shown(self.recording.name)} "
            "while they played nothing else; replay it alone to see why, or convert it"
        )

    @asynccontextmanager
    async def going_on(self, outcome: ReplayOutcome) -> AsyncIterator[None]:
        """While it is played. Only what would befall every other recording too is raised: that the engine
        fails, or that results cannot be written.
        """
        self._outcome = outcome
        unreached: SourceError | None = None
        if self._far:
            try:
                await asyncio.to_thread(fetch, self.recording.address, self._copy)
            except SourceError as error:
                unreached = error
        unforeseen: SourceError | None = None
        try:
            yield
        except (EmostreamError, ModelError, OSError):
            raise
        except Exception as error:
            unforeseen = self._unforeseen(error)
        finally:
            self._copy.unlink(missing_ok=True)
        self._failure = unreached or unforeseen or outcome.failure

    def _unforeseen(self, error: Exception) -> SourceError:
        name = shown(self.recording.name)
        log.error("%s could not be played", name, exc_info=error)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return UnexpectedError(f"expected to play {name}, got {said}; convert it, and report it")

    async def send(self, event: messages.ServerEvent) -> None:
        """A sink: of utterances without a result."""
        if isinstance(event, messages.Error) and event.code == AnalysisError.code:
            self._lapses.append(event)

    @property
    def whole(self) -> bool:
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
        """In the order in which they came."""
        name = shown(self.recording.name)
        for lapse in self._lapses:
            yield ErrorRow(name, lapse.code, shown(lapse.message), lapse.utterance, self.audio_s)
        if self._failure is not None:
            said = shown(str(self._failure)).replace(str(self._copy), name)
            yield ErrorRow(name, self._failure.code, said, None, self.audio_s)
