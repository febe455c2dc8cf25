"""Real-time, self-hosted speech emotion recognition.

`recognize` classifies a recording in this process, `plot` draws it; `connect` sends audio to a server,
`subscribe` follows a stream that a server publishes. Importing this package imports nothing else; a name that
needs numpy or websockets brings it when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from emostream.streamer.client import connect, subscribe
    from emostream.streamer.recognize import plot, recognize

__version__: Final = version("emostream")

_LAZY: Final = {
    "connect": "emostream.streamer.client",
    "plot": "emostream.streamer.recognize",
    "recognize": "emostream.streamer.recognize",
    "subscribe": "emostream.streamer.client",
}

__all__ = ["__version__", "connect", "plot", "recognize", "subscribe"]


def __getattr__(name: str) -> Any:
    """PEP 562: the module behind a public name is imported when the name is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
