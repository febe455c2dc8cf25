"""Emotions in a LiveKit agent (`pip install 'emostream[livekit]'`): `STT` as the transcriber, or `EmotionSTT`
around another one; `EmotionAgent` tells the language model. Importing it registers the plugin.
"""

from emostream.streamer.optional_deps import require

require("livekit.agents", "emostream.integrations.livekit", "livekit")

from ..local_engine import LocalEngine  # noqa: E402
from ..server_engine import ServerEngine  # noqa: E402
from .agent import EmotionAgent  # noqa: E402
from .plugin import register  # noqa: E402
from .speaker import SpeakerEmotion  # noqa: E402
from .stt import STT  # noqa: E402
from .wrapper import EmotionSTT  # noqa: E402

__all__ = ["STT", "EmotionAgent", "EmotionSTT", "LocalEngine", "ServerEngine", "SpeakerEmotion"]

register()
