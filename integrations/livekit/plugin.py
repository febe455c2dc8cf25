"""The plugin that `python agent.py download-files` finds."""

from __future__ import annotations

import logging
import threading
from importlib.metadata import version

from livekit.agents import Plugin

from emostream.streamer.config import Settings
from emostream.streamer.inference.load_models import load_models

log = logging.getLogger("emostream")


class EmostreamPlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(__name__, version("emostream"), "emostream", log)

    def download_files(self) -> None:
        """Whisper's weights, where they are not installed. Raises ModelError."""
        load_models(Settings().models)


def register() -> None:
    """LiveKit takes plugins on the main thread only; elsewhere the rest works without."""
    if threading.current_thread() is threading.main_thread():
        Plugin.register_plugin(EmostreamPlugin())
