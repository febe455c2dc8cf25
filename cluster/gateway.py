"""`python -m emostream.cluster.gateway ADDRESS SETTINGS`: a server's way to the cluster, in its own process.

Ray ends a program whose cluster is gone for a minute, from within. A server must outlive that: so it is this
process that belongs to Ray, and the server starts another one when it ends (docs/adr/0017). It ends
when its input does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import msgspec

from emostream.streamer.config import Settings
from emostream.streamer.errors import ClusterError
from emostream.streamer.tasks import task_group

from .calls import (
    Answer,
    Describe,
    Described,
    Health,
    House,
    NoModels,
    Pulse,
    decode_answer,
    encode,
)
from .connection import connected
from .deployment import find_or_deploy, running_replicas, withdraw
from .frames import Kind, pack, read
from .replica import fingerprint

_PULSE_EVERY_S: Final = 1.0
_PULSE_WITHIN_S: Final = 4.0
_COUNT_EVERY_S: Final = 5.0
_STILL_WAITING_S: Final = 15.0


class Gateway:
    """handle: of the replicas, a `serve.handle.DeploymentHandle`."""

    def __init__(self, handle: Any, app: str, out: asyncio.StreamWriter) -> None:
        self._handle = handle
        self._app = app
        self._out = out
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._replicas = 1

    async def describe(self) -> Answer:
        return decode_answer(await self._handle.call.remote(encode(Describe())))

    async def serve(self, described: Described, frames: asyncio.StreamReader) -> None:
        """Until there are no more frames."""
        with ThreadPoolExecutor(1, "count replicas") as counting:
            self._replicas = await self._count(counting)
            self._out.write(pack(Kind.OPENED, 0, encode(House(described.speakers, self._replicas))))
            async with task_group() as group:
                lasting = [
                    group.create_task(self._feel_pulse(), name="pulse"),
                    group.create_task(self._keep_counting(counting), name="count"),
                ]
                while (frame := await read(frames)) is not None:
                    kind, number, payload = frame
                    if kind is Kind.ASK:
                        self._calls[number] = group.create_task(self._call(number, payload), name="call")
                    elif kind is Kind.FORGET and number in self._calls:
                        self._calls[number].cancel()
                for task in (*lasting, *self._calls.values()):
                    task.cancel()

    async def _call(self, number: int, payload: bytes) -> None:
        response = self._handle.call.remote(payload)
        try:
            self._out.write(pack(Kind.ANSWER, number, await response))
        except asyncio.CancelledError:
            response.cancel()  # the replica leaves it out of its next batch
            raise
        except Exception as error:  # what models do wrong is an answer: this is Ray's, and it is passed on
            self._out.write(pack(Kind.LOST, number, _said(error).encode()))
        finally:
            del self._calls[number]

    async def _feel_pulse(self) -> None:
        while True:
            pulse = None
            try:
                async with asyncio.timeout(_PULSE_WITHIN_S):
                    pulse = decode_answer(await self._handle.call.remote(encode(Pulse())))
            except Exception as error:
                print(f"no pulse: {_said(error)}", file=sys.stderr, flush=True)
            self._out.write(pack(Kind.TOLD, 0, encode(Health(self._replicas, pulse))))
            await asyncio.sleep(_PULSE_EVERY_S)

    async def _keep_counting(self, counting: ThreadPoolExecutor) -> None:
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            self._replicas = await self._count(counting)

    async def _count(self, counting: ThreadPoolExecutor) -> int:
        """A call that blocks, and that may fail while the cluster does."""
        try:
            loop = asyncio.get_running_loop()
            return max(1, await loop.run_in_executor(counting, running_replicas, self._app))
        except Exception as error:
            print(f"replicas not counted: {_said(error)}", file=sys.stderr, flush=True)
            return self._replicas


async def _live(settings: Settings, fd: int) -> None:
    frames, out = await _pipes(fd)
    finding = asyncio.create_task(asyncio.to_thread(find_or_deploy, settings), name="find or deploy")
    # Nothing is asked of a cluster that is not open yet: what comes is the end.
    gone = asyncio.create_task(read(frames), name="input")
    try:
        while not finding.done():
            await asyncio.wait({finding, gone}, timeout=_STILL_WAITING_S, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if not finding.done():
                chosen = settings.cluster
                needed = f"{chosen.cpus:g} CPUs and {chosen.gpus:g} GPUs"
                out.write(pack(Kind.WAITING, 0, f"the models: a replica needs {needed}".encode()))
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    try:
        gateway = Gateway(finding.result(), settings.cluster.app, out)
        described = _checked(await gateway.describe(), settings)
    except ClusterError as error:
        out.write(pack(Kind.REFUSED, 0, str(error).encode()))
        await out.drain()
        return
    await gateway.serve(described, frames)


def _checked(answer: Answer, settings: Settings) -> Described:
    """Raises ClusterError."""
    match answer.outcome:
        case Described(fingerprint=theirs) as described if theirs == fingerprint(settings):
            return described
        case NoModels(message):
            withdraw(settings)
            raise ClusterError(message)
    raise ClusterError(
        f"expected this server's models in the cluster as {settings.cluster.app}, got others: "
        "start this server with the same models and version, or set cluster.app to another name"
    )


async def _pipes(fd: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    frames = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(frames), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(fd, "wb", buffering=0)
    )
    return frames, asyncio.StreamWriter(transport, protocol, None, loop)


def _said(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no more was said'}"


def main() -> None:
    # Whatever prints is for the log: standard output carries frames.
    fd = os.dup(1)
    os.dup2(2, 1)
    address, settings = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Settings)
    try:
        with connected(address), suppress(KeyboardInterrupt):
            asyncio.run(_live(settings, fd))
    except ClusterError as error:
        os.write(fd, pack(Kind.REFUSED, 0, str(error).encode()))


if __name__ == "__main__":
    main()
