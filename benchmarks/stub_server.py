"""`python -m benchmarks.stub_server`: a whole server around a recognizer that answers at once.

All of a live server is there but the models: sockets, sessions, voice activity detection, segmentation, the
engine's threads and batchers. It prints `Listening on http://...` when it is ready, and ends with Ctrl-C.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from emostream.models import LABELS, Alignment, Clip, EncodedAudio, Prediction, SpeakerBaseline, Transcript
from emostream.streamer.clock import WallClock
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.server.app import Server
from emostream.streamer.server.listen import bind
from emostream.streamer.server.local_stream import stop_on_signals

_MANY: Final = 1_000_000
_EVEN: Final = (1.0 / len(LABELS),) * len(LABELS)


class StubRecognizer:
    """Always the same probabilities, at no cost."""

    name = "stub"
    device = "cpu"
    labels = LABELS
    baseline = None
    batch_seconds = 64.0

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        return [EncodedAudio(frames=None, clip=clip) for clip in clips]

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        return [Alignment() for _ in clips]

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        return [Prediction(LABELS[0], _EVEN[0], _EVEN, _EVEN, None, ("no_text",)) for _ in codes]


async def serve() -> None:
    """Until it is interrupted. No stream is refused: how many it bears is the question."""
    server = ServerSettings(port=0, max_load=1.0, connections=_MANY, connections_per_minute=_MANY)
    settings, clock = Settings(server=server), WallClock()
    engine = Engine(None, StubRecognizer(), clock, call_timeout_s=server.model_timeout_ms / 1_000)
    stop = stop_on_signals()
    async with engine.running(), Server(bind(server), engine, settings, clock) as listening:
        print(f"Listening on {listening.url}", file=sys.stderr, flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve())
