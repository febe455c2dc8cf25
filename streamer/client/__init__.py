"""The Python client: audio in, typed events out, over one websocket after the other.

    async with connect("ws://127.0.0.1:8765/v1/stream", start) as stream:
        async for event in stream.recognize(audio):
            ...

A connection that breaks is resumed, and its session with it: no audio and no event is lost or doubled, and a
`Reconnected` among the events reports it. Needs websockets and msgspec only; `client.audio` has microphone
and recordings for it.
"""

from .connection import connect, subscribe
from .reconnect import ClientEvent, Reconnected, Retry
from .stream import ClientStream

__all__ = ["ClientEvent", "ClientStream", "Reconnected", "Retry", "connect", "subscribe"]
