"""A server's way to the cluster, in its own process.

`python -m emostream.streamer.cluster.serving.gateway ADDRESS SETTINGS`

Ray ends a program whose cluster is gone for a minute, from within. A server must outlive that: so it is this
process that belongs to Ray, and the server starts another one when it ends (docs/adr/0017). It ends
when its input does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec

from emostream.streamer.concurrency import task_group
from emostream.streamer.config import Settings
from emostream.streamer.errors import ClusterError

from ..ray_cluster import connected
from .deployment import find_or_deploy, running_replicas
from .framing import Kind, pack, pipes, read
from .messages import (
    Answer,
    ClusterHealth,
    ClusterInfo,
    DescribeCall,
    DescribeReply,
    HealthCall,
    decode_answer,
    encode,
)
from .replica import fingerprint

_PULSE_EVERY_S: Final = 1.0
_PULSE_WITHIN_S: Final = 4.0
_COUNT_EVERY_S: Final = 5.0
_DEAF_S: Final = 30.0
"""Without an answer another gateway is to try: Ray may never find the way back from here."""
_STILL_WAITING_S: Final = 15.0


class LostClusterError(ClusterError):
    """It answered, and does not any more."""


class Gateway:
    """handle: of the replicas, a `serve.handle.DeploymentHandle`. threads: for what blocks."""

    def __init__(self, handle: Any, app: str, out: asyncio.StreamWriter, threads: Executor) -> None:
        self._handle = handle
        self._threads = threads
        self._app = app
        self._out = out
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._replicas = 1

    async def describe(self) -> Answer:
        return decode_answer(await self._handle.call.remote(encode(DescribeCall())))

    async def serve(self, described: DescribeReply, frames: asyncio.StreamReader) -> None:
        """Until there are no more frames."""
        self._replicas = await self._count()
        self._out.write(pack(Kind.OPENED, 0, encode(ClusterInfo(described.model_info, self._replicas))))
        async with task_group() as group:
            lasting = [
                group.create_task(self._feel_pulse(), name="pulse"),
                group.create_task(self._keep_counting(), name="count"),
            ]
            while (frame := await read(frames)) is not None:
                kind, number, payload = frame
                if kind is Kind.ASK:
                    call = group.create_task(self._call(number, payload), name="call")
                    self._calls[number] = call
                    call.add_done_callback(partial(self._over, number))
                elif kind is Kind.FORGET and number in self._calls:
                    self._calls[number].cancel()
            for task in (*lasting, *self._calls.values()):
                task.cancel()

    async def _call(self, number: int, payload: bytes) -> None:
        response = None
        try:
            response = self._handle.call.remote(payload)
            self._out.write(pack(Kind.ANSWER, number, await response))
        except asyncio.CancelledError as cancelled:
            if response is not None:
                response.cancel()  # the replica leaves it out of its next batch
            # Where it was Ray who cancelled, somebody waits for it.
            self._out.write(pack(Kind.LOST, number, _said(cancelled).encode()))
            raise
        except Exception as error:  # what models do wrong is an answer: this is Ray's, and it is passed on
            self._out.write(pack(Kind.LOST, number, _said(error).encode()))

    def _over(self, number: int, call: asyncio.Task[None]) -> None:
        del self._calls[number]

    async def _feel_pulse(self) -> None:
        """Raises ClusterError where there has been none for long."""
        heard = time.monotonic()
        while True:
            pulse = None
            try:
                pulse = await self._pulse()
                heard = time.monotonic()
            except Exception as error:
                print(f"no pulse: {_said(error)}", file=sys.stderr, flush=True)
                if time.monotonic() - heard > _DEAF_S:
                    raise LostClusterError(
                        f"expected the models to answer, got nothing for {_DEAF_S:.0f} s"
                    ) from error
            self._out.write(pack(Kind.TOLD, 0, encode(ClusterHealth(self._replicas, pulse))))
            await asyncio.sleep(_PULSE_EVERY_S)

    async def _pulse(self) -> Answer:
        response = self._handle.call.remote(encode(HealthCall()))
        try:
            async with asyncio.timeout(_PULSE_WITHIN_S):
                return decode_answer(await response)
        except TimeoutError:
            response.cancel()
            raise

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            self._replicas = await self._count()

    async def _count(self) -> int:
        """A call that blocks, and that may fail while the cluster does."""
        try:
            loop = asyncio.get_running_loop()
            return max(1, await loop.run_in_executor(self._threads, running_replicas, self._app))
        except Exception as error:
            print(f"replicas not counted: {_said(error)}", file=sys.stderr, flush=True)
            return self._replicas


async def _live(settings: Settings, fd: int, threads: Executor) -> None:
    frames, out = await pipes(os.dup(fd))  # the loop closes its own
    opening = asyncio.create_task(_open(settings, out, threads), name="open")
    # Nothing is asked of a cluster that is not open yet: what comes is the end.
    gone = asyncio.create_task(read(frames), name="input")
    try:
        while not opening.done():
            await asyncio.wait({opening, gone}, timeout=_STILL_WAITING_S, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if not opening.done():
                chosen = settings.cluster
                needed = f"a replica needs {chosen.cpus:g} CPUs and {chosen.gpus:g} GPUs"
                out.write(pack(Kind.SAID, 0, f"still waiting for the models: {needed}".encode()))
    finally:
        gone.cancel()
        opening.cancel()
        await asyncio.gather(gone, opening, return_exceptions=True)
    gateway, described = opening.result()
    await gateway.serve(described, frames)


async def _open(
    settings: Settings, out: asyncio.StreamWriter, threads: Executor
) -> tuple[Gateway, DescribeReply]:
    loop = asyncio.get_running_loop()
    handle = await loop.run_in_executor(threads, find_or_deploy, settings)
    gateway = Gateway(handle, settings.cluster.app, out, threads)
    described = _checked(await gateway.describe(), settings)
    if described.settings != settings.cluster:
        theirs = ", ".join(f"{name} {value}" for name, value in _differing(described, settings).items())
        said = f"the models are in the cluster with {theirs}; this server's settings change nothing there"
        out.write(pack(Kind.SAID, 0, said.encode()))
    return gateway, described


def _differing(described: DescribeReply, settings: Settings) -> dict[str, object]:
    ours = msgspec.structs.asdict(settings.cluster)
    theirs = msgspec.structs.asdict(described.settings)
    return {name: value for name, value in theirs.items() if value != ours[name]}


def _checked(answer: Answer, settings: Settings) -> DescribeReply:
    """Raises ClusterError."""
    match answer.outcome:
        case DescribeReply(fingerprint=theirs) as described if theirs == fingerprint(settings):
            return described
    raise ClusterError(
        f"expected this server's models in the cluster as {settings.cluster.app}, got others: "
        "start this server with the same models and version, or set cluster.app to another name"
    )


def _said(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no more was said'}"


def main() -> None:
    # Whatever prints is for the log: standard output carries frames.
    fd = os.dup(1)
    os.dup2(2, 1)
    address, settings = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Settings)
    try:
        with connected(address):
            refused = _lived(settings, fd)
    except ClusterError as error:
        refused = error
    if refused is not None:
        os.write(fd, pack(Kind.REFUSED, 0, str(refused).encode()))
    os._exit(0 if refused is None else 1)  # a thread may still wait for a cluster that is gone


def _lived(settings: Settings, fd: int) -> ClusterError | None:
    """Why it came to an end, unless the server had enough of it."""
    try:
        asyncio.run(_live(settings, fd, ThreadPoolExecutor(1, "cluster")))
    except LostClusterError as error:
        os.write(fd, pack(Kind.REFUSED, 0, str(error).encode()))
        os._exit(1)  # Ray's own goodbye would wait for the cluster too
    except ClusterError as error:
        return error
    return None


if __name__ == "__main__":
    main()
