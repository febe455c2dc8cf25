"""Real-time, self-hosted speech emotion recognition.

`recognize` classifies a recording in this process, `plot` draws it; `connect` (in asyncio) and
`connect_sync` send audio to a server, `subscribe` follows a stream that a server publishes. Importing this
package imports nothing else; a name that needs numpy or websockets brings it when it is first used.

It also switches off the usage statistics that some dependencies send to their makers, before any of them is
imported: ONNX Runtime (from 1.29 on by default: a device id and a queue under the user's cache folder, and
requests to its maker), the Hugging Face libraries and Ray. Child processes inherit the setting. A value that
the user has set stands.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from emostream.streamer.client import connect, connect_sync, subscribe
    from emostream.streamer.client.audio import ClientAudio
    from emostream.streamer.errors import ConnectError, EmostreamError
    from emostream.streamer.protocol.messages import Emotion
    from emostream.streamer.recognize import plot, recognize

    __version__: str

NO_USAGE_STATISTICS: Final = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
for _name, _value in NO_USAGE_STATISTICS.items():
    os.environ.setdefault(_name, _value)

_LAZY: Final = {
    "ClientAudio": "emostream.streamer.client.audio",
    "ConnectError": "emostream.streamer.errors",
    "Emotion": "emostream.streamer.protocol.messages",
    "EmostreamError": "emostream.streamer.errors",
    "connect": "emostream.streamer.client",
    "connect_sync": "emostream.streamer.client",
    "plot": "emostream.streamer.recognize",
    "recognize": "emostream.streamer.recognize",
    "subscribe": "emostream.streamer.client",
}

__all__ = [
    "ClientAudio",
    "ConnectError",
    "EmostreamError",
    "Emotion",
    "__version__",
    "connect",
    "connect_sync",
    "plot",
    "recognize",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    """PEP 562: the module behind a public name is imported when the name is first used."""
    if name == "__version__":  # reading it imports e-mail, ZIP and CSV
        from importlib.metadata import version

        return version("emostream")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
