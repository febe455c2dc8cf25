"""The Python client: audio in, typed events out, over one websocket after the other.

    async with connect("ws://127.0.0.1:8765", audio="speech.wav") as stream:
        async for event in stream:
            ...

`connect_sync` is the same without asyncio.

A connection that breaks is resumed, and its session with it: no audio and no event is lost or doubled, and
`ConnectionLost` and `Reconnected` among the events report it. A server that shuts down or is killed is waited
for, and hears again what had no final yet. Needs websockets and msgspec only; `client.audio` has microphone
and recordings for it.
"""

from .blocking import BlockingStream, connect_sync
from .connection import connect, subscribe
from .reconnect import ClientEvent, ConnectionLost, Reconnected, Retry
from .stream import ClientStream

__all__ = [
    "BlockingStream",
    "ClientEvent",
    "ClientStream",
    "ConnectionLost",
    "Reconnected",
    "Retry",
    "connect",
    "connect_sync",
    "subscribe",
]
