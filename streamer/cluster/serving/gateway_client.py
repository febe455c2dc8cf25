"""The server's end of the way to the cluster: a gateway process, and another one when it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final

import msgspec

from emostream.streamer.clock import Clock
from emostream.streamer.config import Settings
from emostream.streamer.errors import ClusterError

from .framing import Frame, Kind, pack, read
from .messages import Answer, ClusterHealth, ClusterInfo, decode_answer, decode_cluster_info, decode_health

log = logging.getLogger(__name__)

_GOODBYE_S: Final = 10.0  # a cluster that the gateway started ends with it
_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
_LINES: Final = 20
_BUFFER_BYTES: Final = 1 << 20
_SILENT_S: Final = 20.0
"""A gateway says something every few seconds: one that does not is stuck."""
_UNREAD_BYTES: Final = 64 << 20
"""Twenty minutes of speech that a gateway has not read. What comes then is lost at once, and asked again."""


# -P: what lies in the working folder is not run.
GATEWAY: Final = (sys.executable, "-P", "-m", "emostream.streamer.cluster.serving.gateway")


class ReplicaLostError(Exception):
    """Whoever had the call is gone. Never on the wire."""


class GatewayClient:
    """told: of every sign of life. program: the gateway, to which address and settings are added."""

    def __init__(
        self,
        address: str,
        settings: Settings,
        clock: Clock,
        told: Callable[[ClusterHealth], None],
        program: Sequence[str] = GATEWAY,
    ) -> None:
        self._program = program
        self.address = address
        self._settings = settings
        self._clock = clock
        self._told = told
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._up = asyncio.Event()
        self._was_up = False  # the gateway that ended last
        self._in: asyncio.StreamWriter | None = None
        self._why = ""
        self._log_lines: deque[str] = deque(maxlen=_LINES)

    async def ask(self, payload: bytes) -> Answer:
        """Waits while there is no gateway. Raises ReplicaLostError where the one that answers was lost."""
        await self._up.wait()
        assert self._in is not None
        if self._in.transport.get_write_buffer_size() > _UNREAD_BYTES:
            raise ReplicaLostError("the gateway does not read")
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._in.write(pack(Kind.ASK, number, payload))
        try:
            return await answer
        except asyncio.CancelledError:
            if self._up.is_set():
                self._in.write(pack(Kind.FORGET, number))
            raise
        finally:
            del self._waiting[number]

    async def run(self, opened: asyncio.Future[ClusterInfo]) -> None:
        """One gateway after the other, until cancelled. opened: the first one's word, or its ClusterError,
        behind which there is no second.
        """
        pauses: Iterator[float] = iter(())
        while True:
            try:
                await self._live(opened)
            except (OSError, ValueError, msgspec.DecodeError) as error:  # no process to be had, or no frame
                self._why = f"{type(error).__name__}: {error}"
            if not opened.done():
                opened.set_exception(ClusterError(self._why))
                return
            log.warning("no way to the cluster any more: %s", self._why)
            if self._was_up:
                pauses = iter(_PAUSES_S)
            await self._clock.sleep_until(self._clock.now() + next(pauses, _PAUSES_S[-1]))

    async def _live(self, opened: asyncio.Future[ClusterInfo]) -> None:
        """From a gateway's start to its end."""
        self._why, self._was_up = "", False
        self._log_lines.clear()
        process = await asyncio.create_subprocess_exec(
            *self._program,
            self.address,
            msgspec.json.encode(self._settings).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_BUFFER_BYTES,
            start_new_session=True,  # Ctrl-C is the server's: it still has finals to give
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._in = process.stdin
        logging_its_words = asyncio.create_task(self._keep_log(process.stderr), name="gateway's log")
        try:
            while (frame := await self._next(process.stdout)) is not None:
                self._take(*frame, opened)
        except TimeoutError:
            self._why = f"the gateway has said nothing for {_SILENT_S:.0f} s"
            process.kill()
        except (ValueError, msgspec.DecodeError):
            process.kill()
            raise
        finally:
            self._lose()
            self._in.close()
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            finally:
                logging_its_words.cancel()
        last = self._log_lines[-1] if self._log_lines else f"exit status {process.returncode}"
        self._why = self._why or f"its process ended: {last}"

    def _lose(self) -> None:
        """Whoever waits need not wait for the goodbye."""
        self._was_up = self._up.is_set()
        self._up.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ReplicaLostError(self._why or "the gateway ended"))

    async def _next(self, frames: asyncio.StreamReader) -> Frame | None:
        """Raises TimeoutError where one that was up is stuck."""
        async with asyncio.timeout(_SILENT_S if self._up.is_set() else None):
            return await read(frames)

    def _take(self, kind: Kind, number: int, payload: bytes, opened: asyncio.Future[ClusterInfo]) -> None:
        match kind:
            case Kind.ANSWER | Kind.LOST:
                waiting = self._waiting.get(number)
                if waiting is None or waiting.done():
                    return  # nobody wants to know any more
                if kind is Kind.ANSWER:
                    waiting.set_result(decode_answer(payload))
                else:
                    waiting.set_exception(ReplicaLostError(payload.decode()))
            case Kind.TOLD:
                self._told(decode_health(payload))
            case Kind.SAID:
                log.warning("%s", payload.decode())
            case Kind.REFUSED:
                self._why = payload.decode()
            case Kind.OPENED:
                if not opened.done():
                    opened.set_result(decode_cluster_info(payload))
                self._up.set()

    async def _keep_log(self, lines: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # one beyond all measure: the next one is read all the same
                continue
            if not line:
                return
            if said := line.decode(errors="replace").strip():
                self._log_lines.append(said)
                log.info("gateway: %s", said)
