"""A connection that hands audio on as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

TakeAudio = Callable[[bytes], None]


class AudioConnection(ServerConnection):
    """`recv` wakes a task for each message, which for audio costs more than all that is done with it. Inside
    `audio_to`, a binary message of one frame goes where it belongs without a task; all others, and those that
    come while another waits for `recv`, take the usual way, so that their order is kept.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._take_audio: TakeAudio | None = None
        self._for_recv = 0  # messages that wait for `recv`, or whose fragments do
        self._failure: Exception | None = None

    @contextmanager
    def audio_to(self, take: TakeAudio) -> Iterator[None]:
        """What `take` raises is raised by the next `recv`."""
        self._take_audio = take
        try:
            yield
        finally:
            self._take_audio = None

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
            if self._for_recv == 0 and self._is_taken(event):
                return
            self._for_recv += 1
        super().process_event(event)

    def _is_taken(self, frame: Frame) -> bool:
        take = self._take_audio
        if take is None or frame.opcode is not Opcode.BINARY or not frame.fin:
            return False
        try:
            take(bytes(frame.data))
        except Exception as error:  # here it would only end up in the event loop
            self._take_audio, self._failure = None, error
            return False
        return True

    async def recv(self, decode: bool | None = None) -> Any:
        message = await super().recv(decode)
        self._for_recv -= 1
        if self._failure is not None:
            raise self._failure
        return message
