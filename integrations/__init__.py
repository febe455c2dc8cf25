"""Voice agent frameworks: `emostream.integrations.pipecat`, `emostream.integrations.livekit`.

Each needs the extra of its name. `LocalEngine` holds the models in this process, `ServerEngine` uses a
server's. Importing this package imports nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .local_engine import LocalEngine
    from .server_engine import ServerEngine

_LAZY: Final = {"LocalEngine": ".local_engine", "ServerEngine": ".server_engine"}

__all__ = ["LocalEngine", "ServerEngine"]


def __getattr__(name: str) -> Any:
    """PEP 562: the module behind a public name is imported when the name is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
