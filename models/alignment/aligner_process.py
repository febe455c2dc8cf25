"""The forced aligner in a process of its own: what the streamer uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import TranscriberError
from ..types import Alignment, Clip, Transcript
from ..worker_process import NamedHandler, WorkerProcess, serve_requests
from .word_spans import align_from_transcript

logger = logging.getLogger("emostream")


class AlignerProcess:
    """`ForcedAligner` behind a pipe: same alignments, called from one thread.

    An alignment is never worth an utterance: where the child dies, or a new one cannot be started, words lie
    where the transcript says.
    """

    def __init__(self) -> None:
        """Start the child and wait until its model is loaded. Raises TranscriberError."""
        self._child = WorkerProcess(__name__, "an alignment from PocketSphinx")
        _ = self._child.name  # waits for it

    @property
    def name(self) -> str:
        return self._child.name

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        """As `ForcedAligner.align`; words alone, with a warning, for a call that no child answers."""
        try:
            alignments: list[Alignment] = self._child.call((list(clips), list(transcripts)))
        except TranscriberError as error:
            logger.warning("Words lie where the transcript says: %s", error)
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
