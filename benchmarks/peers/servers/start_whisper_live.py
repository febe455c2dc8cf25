"""WhisperLive's server, one model for all clients: PORT, a faster-whisper folder."""

from __future__ import annotations

import sys

from whisper_live.server import TranscriptionServer

TranscriptionServer().run(
    "127.0.0.1",
    port=int(sys.argv[1]),
    backend="faster_whisper",
    faster_whisper_custom_model_path=sys.argv[2],
    single_model=True,
    max_clients=64,
    max_connection_time=3_600,
)
