"""PocketSphinx's transcriber in a process of its own: 11 s of speech would block the server for 2.4 s."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Clip, Transcript
from ..worker_process import NamedHandler, WorkerProcess, serve_requests


class SphinxProcess:
    """`SphinxTranscriber` in a worker process: the same transcripts. Call it from one thread."""

    def __init__(self) -> None:
        """Start the worker, which loads its model in the background. Raises TranscriberError where it cannot
        start."""
        self._worker = WorkerProcess(__name__, "words from PocketSphinx")

    @property
    def name(self) -> str:
        """Waits until the model is loaded. Raises TranscriberError where that fails."""
        return self._worker.name

    @property
    def languages(self) -> Sequence[str]:
        return ("en",)

    @property
    def batch_size(self) -> int:
        return 1  # it decodes sequentially: in a batch the first clip would wait for the last

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """Raises TranscriberError where the worker has died; the next call starts a new one."""
        transcripts: list[Transcript] = self._worker.call(list(clips))
        return transcripts

    def transcribe_partial(self, clip: Clip) -> None:
        """As `SphinxTranscriber.listen`. Raises TranscriberError as `transcribe` does."""
        self._worker.call(clip)


def _load() -> NamedHandler:
    from .sphinx import SphinxTranscriber

    transcriber = SphinxTranscriber()

    def handle(request: Clip | list[Clip]) -> list[Transcript] | None:
        """A list is to be transcribed; a single clip is the beginning of an utterance."""
        if isinstance(request, Clip):
            transcriber.transcribe_partial(request)
            return None
        return transcriber.transcribe(request)

    return transcriber.name, handle


if __name__ == "__main__":
    serve_requests(_load)
