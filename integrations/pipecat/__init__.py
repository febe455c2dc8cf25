"""Emotions in a Pipecat pipeline (`pip install 'emostream[pipecat]'`): `EmotionProcessor` beside any
transcriber, or `EmostreamSTTService` as the transcriber; `EmotionContextProcessor` tells a language model.
"""

from emostream.streamer.optional_deps import require

require("pipecat", "emostream.integrations.pipecat", "pipecat")

from ..local_engine import LocalEngine  # noqa: E402
from ..server_engine import ServerEngine  # noqa: E402
from .context_processor import EmotionContextProcessor  # noqa: E402
from .frames import EmotionFrame  # noqa: E402
from .processor import EmotionProcessor  # noqa: E402
from .stt_service import EmostreamSTTService  # noqa: E402

__all__ = [
    "EmostreamSTTService",
    "EmotionContextProcessor",
    "EmotionFrame",
    "EmotionProcessor",
    "LocalEngine",
    "ServerEngine",
]
