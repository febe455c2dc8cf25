"""PocketSphinx's transcriber in a process of its own: 11 s of speech would hold the server for 2.4 s."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Clip, Transcript
from ..worker_process import NamedHandler, WorkerProcess, serve_requests


class SphinxProcess:
    """`SphinxTranscriber` behind a pipe: same words, called from one thread."""

    def __init__(self) -> None:
        """Start the child, which loads its model meanwhile. Raises TranscriberError where it cannot start."""
        self._child = WorkerProcess(__name__, "words from PocketSphinx")

    @property
    def name(self) -> str:
        """Waits until the model is loaded. Raises TranscriberError where it cannot be."""
        return self._child.name

    @property
    def batch_size(self) -> int:
        return 1  # it decodes one after the other: in a batch the first would wait for the last

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """Raises TranscriberError where the child has died; the next call finds a new one."""
        transcripts: list[Transcript] = self._child.call(list(clips))
        return transcripts

    def transcribe_partial(self, clip: Clip) -> None:
        """As `SphinxTranscriber.listen`. Raises TranscriberError as `transcribe` does."""
        self._child.call(clip)


def _load() -> NamedHandler:
    from .sphinx import SphinxTranscriber

    transcriber = SphinxTranscriber()

    def answer(request: Clip | list[Clip]) -> list[Transcript] | None:
        """A list is to be transcribed; a clip alone is a beginning."""
        if isinstance(request, Clip):
            transcriber.transcribe_partial(request)
            return None
        return transcriber.transcribe(request)

    return transcriber.name, answer


if __name__ == "__main__":
    serve_requests(_load)
