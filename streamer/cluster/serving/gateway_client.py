"""The server's side of the gateway: runs a gateway process, and starts another one when it exits."""

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

from .framing import Frame, FrameKind, pack_frame, read_frame
from .messages import (
    ClusterHealth,
    ClusterInfo,
    ReplicaReply,
    decode_cluster_info,
    decode_health,
    decode_reply,
)

log = logging.getLogger(__name__)

_EXIT_TIMEOUT_S: Final = 10.0  # a cluster that the gateway started is shut down with it
_RESTART_DELAYS_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
_MAX_LOG_LINES: Final = 20
_BUFFER_BYTES: Final = 1 << 20
_SILENCE_TIMEOUT_S: Final = 20.0
"""A gateway sends a frame every few seconds: one that does not is stuck."""
_MAX_UNREAD_BYTES: Final = 64 << 20
"""Twenty minutes of speech that the gateway has not read. Further calls fail at once, and are sent again."""


# -P: modules in the working directory are not run.
GATEWAY: Final = (sys.executable, "-P", "-m", "emostream.streamer.cluster.serving.gateway")


class ReplicaLostError(Exception):
    """The replica or gateway that had the call is lost. Not sent on the wire."""


class GatewayClient:
    """Sends calls to replicas through a gateway process.

    on_health: called with every health report. program: the gateway's command line, to which address and
    settings are appended.
    """

    def __init__(
        self,
        address: str,
        settings: Settings,
        clock: Clock,
        on_health: Callable[[ClusterHealth], None],
        program: Sequence[str] = GATEWAY,
    ) -> None:
        self._program = program
        self.address = address
        self._settings = settings
        self._clock = clock
        self._on_health = on_health
        self._numbers = count(1)
        self._pending: dict[int, asyncio.Future[ReplicaReply]] = {}
        self._ready = asyncio.Event()
        self._was_ready = False  # of the gateway that exited last
        self._in: asyncio.StreamWriter | None = None
        self._failure = ""
        self._log_lines: deque[str] = deque(maxlen=_MAX_LOG_LINES)

    async def call(self, payload: bytes) -> ReplicaReply:
        """The reply to an encoded call; waits while there is no gateway. Raises ReplicaLostError where the
        replica or the gateway was lost."""
        await self._ready.wait()
        assert self._in is not None
        if self._in.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            raise ReplicaLostError("the gateway does not read")
        number = next(self._numbers)
        reply: asyncio.Future[ReplicaReply] = asyncio.get_running_loop().create_future()
        self._pending[number] = reply
        self._in.write(pack_frame(FrameKind.CALL, number, payload))
        try:
            return await reply
        except asyncio.CancelledError:
            if self._ready.is_set():
                self._in.write(pack_frame(FrameKind.CANCEL, number))
            raise
        finally:
            del self._pending[number]

    async def run(self, opened: asyncio.Future[ClusterInfo]) -> None:
        """Run one gateway after the other, until cancelled.

        opened: gets the first one's ClusterInfo, or its ClusterError, after which no other one is started.
        """
        delays: Iterator[float] = iter(())
        while True:
            try:
                await self._run_gateway(opened)
            except (OSError, ValueError, msgspec.DecodeError) as error:  # failed start, or an invalid frame
                self._failure = f"{type(error).__name__}: {error}"
            if not opened.done():
                opened.set_exception(ClusterError(self._failure))
                return
            log.warning("the connection to the cluster is lost: %s", self._failure)
            if self._was_ready:
                delays = iter(_RESTART_DELAYS_S)
            await self._clock.sleep_until(self._clock.now() + next(delays, _RESTART_DELAYS_S[-1]))

    async def _run_gateway(self, opened: asyncio.Future[ClusterInfo]) -> None:
        """Start a gateway and handle its frames until it exits."""
        self._failure, self._was_ready = "", False
        self._log_lines.clear()
        process = await asyncio.create_subprocess_exec(
            *self._program,
            self.address,
            msgspec.json.encode(self._settings).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_BUFFER_BYTES,
            start_new_session=True,  # Ctrl-C is for the server, which still has finals to send
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._in = process.stdin
        logger_task = asyncio.create_task(self._forward_log(process.stderr), name="gateway's log")
        try:
            while (frame := await self._next_frame(process.stdout)) is not None:
                self._handle(*frame, opened)
        except TimeoutError:
            self._failure = f"the gateway has sent nothing for {_SILENCE_TIMEOUT_S:.0f} s"
            process.kill()
        except (ValueError, msgspec.DecodeError):
            process.kill()
            raise
        finally:
            self._fail_pending()
            self._in.close()
            try:
                async with asyncio.timeout(_EXIT_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            finally:
                logger_task.cancel()
        last = self._log_lines[-1] if self._log_lines else f"exit status {process.returncode}"
        self._failure = self._failure or f"its process ended: {last}"

    def _fail_pending(self) -> None:
        """Fail pending calls without waiting for the gateway's exit."""
        self._was_ready = self._ready.is_set()
        self._ready.clear()
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(ReplicaLostError(self._failure or "the gateway ended"))

    async def _next_frame(self, frames: asyncio.StreamReader) -> Frame | None:
        """Raises TimeoutError where a ready gateway is stuck."""
        async with asyncio.timeout(_SILENCE_TIMEOUT_S if self._ready.is_set() else None):
            return await read_frame(frames)

    def _handle(
        self, kind: FrameKind, number: int, payload: bytes, opened: asyncio.Future[ClusterInfo]
    ) -> None:
        match kind:
            case FrameKind.REPLY | FrameKind.CALL_LOST:
                reply = self._pending.get(number)
                if reply is None or reply.done():
                    return  # the call was cancelled
                if kind is FrameKind.REPLY:
                    reply.set_result(decode_reply(payload))
                else:
                    reply.set_exception(ReplicaLostError(payload.decode()))
            case FrameKind.HEALTH:
                self._on_health(decode_health(payload))
            case FrameKind.LOG:
                log.warning("%s", payload.decode())
            case FrameKind.FAILED:
                self._failure = payload.decode()
            case FrameKind.READY:
                if not opened.done():
                    opened.set_result(decode_cluster_info(payload))
                self._ready.set()

    async def _forward_log(self, lines: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # longer than the buffer: skip it and go on with the next one
                continue
            if not line:
                return
            if text := line.decode(errors="replace").strip():
                self._log_lines.append(text)
                log.info("gateway: %s", text)
