"""The forced aligner in a process of its own: the one that the streamer uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import TranscriberError
from ..types import Alignment, Clip, Transcript
from ..worker_process import NamedHandler, WorkerProcess, serve_requests
from .word_spans import align_from_transcript

logger = logging.getLogger("emostream")


class AlignerProcess:
    """`ForcedAligner` in a worker process: the same alignments. Call it from one thread.

    A failed alignment never loses an utterance: where the worker dies, or a new one cannot be started, words
    get the spans of `align_from_transcript`.
    """

    def __init__(self) -> None:
        """Start the worker and wait until its model is loaded. Raises TranscriberError."""
        self._worker = WorkerProcess(__name__, "an alignment from PocketSphinx")
        _ = self._worker.name  # blocks until the model is loaded

    @property
    def name(self) -> str:
        return self._worker.name

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        """As `ForcedAligner.align`; words only, with a warning, where the worker process fails."""
        try:
            alignments: list[Alignment] = self._worker.call((list(clips), list(transcripts)))
        except TranscriberError as error:
            logger.warning("Word spans come from the transcript alone: %s", error)
            return [
                align_from_transcript(transcript, len(clip.samples))
                for clip, transcript in zip(clips, transcripts, strict=True)
            ]
        return alignments


def _load() -> NamedHandler:
    from .forced import ForcedAligner

    aligner = ForcedAligner()
    return aligner.name, lambda request: aligner.align(*request)


if __name__ == "__main__":
    serve_requests(_load)
