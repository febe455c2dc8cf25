"""The client without asyncio: `connect_sync`, for scripts, notebooks and threads.

The stream lives in an event loop of its own, in a thread: it works where a loop runs already (Jupyter), and
whatever loop that is (uvloop).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, TypeVar

from ..protocol import messages
from .connection import connect
from .reconnect import ClientEvent, Retry
from .stream import ClientStream

if TYPE_CHECKING:
    from .audio import ClientAudio

T = TypeVar("T")


class BlockingStream:
    """A `ClientStream` whose methods block. Iterating gives its events; audio of one's own may be sent from
    another thread meanwhile.
    """

    def __init__(self, stream: ClientStream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop

    @property
    def ready(self) -> messages.Ready:
        """The server's models and limits."""
        return self._stream.ready

    def __iter__(self) -> Iterator[ClientEvent]:
        """As iterating over a `ClientStream`; an event is read when it is asked for."""
        events = aiter(self._stream)
        try:
            while (event := self._wait(_next(events))) is not None:
                yield event
        finally:
            self._wait(_closed(events))

    def send(self, data: bytes) -> None:
        """See `ClientStream.send`. Raises ConnectError."""
        self._wait(self._stream.send(data))

    def flush(self) -> None:
        """End the utterance in progress after what was sent."""
        self._wait(self._stream.flush())

    def stop(self) -> None:
        """No more audio: the finals come, then `closed`."""
        self._wait(self._stream.stop())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return _wait(work, self._loop)


def _wait(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """What it returns or raises in the loop of the other thread."""
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:  # Ctrl-C as well: nothing is left behind in the loop
        future.cancel()
        raise


async def _next(events: Any) -> ClientEvent | None:
    event: ClientEvent | None = await anext(events, None)
    return event


async def _closed(events: Any) -> None:
    await events.aclose()


@contextmanager
def connect_sync(
    url: str,
    start: messages.Start | None = None,
    *,
    audio: ClientAudio | str | Path | None = None,
    token: str | None = None,
    language: str | None = None,
    options: messages.Options | None = None,
    ssl: SSLContext | None = None,
    retry: Retry | None = None,
) -> Iterator[BlockingStream]:
    """As `connect`, with a stream whose methods block. Raises what `connect` raises."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="emostream client", daemon=True)
    thread.start()

    async def opened() -> Any:
        """In the loop: a recording's source belongs to the loop that reads it."""
        context = connect(
            url,
            start,
            audio=audio,
            token=token,
            language=language,
            options=options,
            ssl=ssl,
            retry=retry,
        )
        return context, await context.__aenter__()

    try:
        context, stream = _wait(opened(), loop)
        try:
            yield BlockingStream(stream, loop)
        finally:
            _wait(context.__aexit__(None, None, None), loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
