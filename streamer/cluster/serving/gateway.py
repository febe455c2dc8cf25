"""A server's gateway to the cluster, in a process of its own.

`python -m emostream.streamer.cluster.serving.gateway ADDRESS SETTINGS`

Ray terminates a process whose cluster is unreachable for a minute. A server must survive that, so this
process is the one connected to Ray, and the server starts another one when it exits (docs/adr/0017). It exits
when its input ends.
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

from ..ray_cluster import connect_to_ray
from .deployment import find_or_deploy, running_replicas
from .framing import FrameKind, open_pipes, pack_frame, read_frame
from .messages import (
    ClusterHealth,
    ClusterInfo,
    DescribeCall,
    DescribeReply,
    HealthCall,
    ReplicaReply,
    decode_reply,
    encode,
)
from .replica import fingerprint

_HEALTH_PERIOD_S: Final = 1.0
_HEALTH_TIMEOUT_S: Final = 4.0
_COUNT_PERIOD_S: Final = 5.0
_UNRESPONSIVE_S: Final = 30.0
"""Without a reply for so long another gateway has to try: Ray may never reconnect from this process."""
_PROGRESS_PERIOD_S: Final = 15.0


class LostClusterError(ClusterError):
    """The cluster has stopped replying."""


class Gateway:
    """Passes calls to replicas and replies back. handle: a `serve.handle.DeploymentHandle`. threads: for
    blocking calls."""

    def __init__(self, handle: Any, app: str, out: asyncio.StreamWriter, threads: Executor) -> None:
        self._handle = handle
        self._threads = threads
        self._app = app
        self._out = out
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._replicas = 1

    async def describe(self) -> ReplicaReply:
        return decode_reply(await self._handle.call.remote(encode(DescribeCall())))

    async def serve(self, described: DescribeReply, frames: asyncio.StreamReader) -> None:
        """Serve calls until the input ends."""
        self._replicas = await self._count()
        info = ClusterInfo(described.model_info, self._replicas)
        self._out.write(pack_frame(FrameKind.READY, 0, encode(info)))
        async with task_group() as group:
            monitors = [
                group.create_task(self._report_health(), name="health"),
                group.create_task(self._update_count(), name="count"),
            ]
            while (frame := await read_frame(frames)) is not None:
                kind, number, payload = frame
                if kind is FrameKind.CALL:
                    call = group.create_task(self._call(number, payload), name="call")
                    self._calls[number] = call
                    call.add_done_callback(partial(self._forget, number))
                elif kind is FrameKind.CANCEL and number in self._calls:
                    self._calls[number].cancel()
            for task in (*monitors, *self._calls.values()):
                task.cancel()

    async def _call(self, number: int, payload: bytes) -> None:
        response = None
        try:
            response = self._handle.call.remote(payload)
            self._out.write(pack_frame(FrameKind.REPLY, number, await response))
        except asyncio.CancelledError as cancelled:
            if response is not None:
                response.cancel()  # the replica leaves it out of its next batch
            # Where Ray cancelled it, the server still waits for a reply.
            self._out.write(pack_frame(FrameKind.CALL_LOST, number, _describe(cancelled).encode()))
            raise
        except Exception as error:  # an error of Ray's: failures of the models are replies
            self._out.write(pack_frame(FrameKind.CALL_LOST, number, _describe(error).encode()))

    def _forget(self, number: int, call: asyncio.Task[None]) -> None:
        del self._calls[number]

    async def _report_health(self) -> None:
        """Raises LostClusterError where no replica has replied for too long."""
        last_reply = time.monotonic()
        while True:
            reply = None
            try:
                reply = await self._check_health()
                last_reply = time.monotonic()
            except Exception as error:
                print(f"no reply to a health check: {_describe(error)}", file=sys.stderr, flush=True)
                if time.monotonic() - last_reply > _UNRESPONSIVE_S:
                    raise LostClusterError(
                        f"expected the models to answer, got nothing for {_UNRESPONSIVE_S:.0f} s"
                    ) from error
            self._out.write(pack_frame(FrameKind.HEALTH, 0, encode(ClusterHealth(self._replicas, reply))))
            await asyncio.sleep(_HEALTH_PERIOD_S)

    async def _check_health(self) -> ReplicaReply:
        response = self._handle.call.remote(encode(HealthCall()))
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                return decode_reply(await response)
        except TimeoutError:
            response.cancel()
            raise

    async def _update_count(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_PERIOD_S)
            self._replicas = await self._count()

    async def _count(self) -> int:
        """Running replicas. Ray's call blocks, and fails while the cluster is unavailable."""
        try:
            loop = asyncio.get_running_loop()
            return max(1, await loop.run_in_executor(self._threads, running_replicas, self._app))
        except Exception as error:
            print(f"replicas not counted: {_describe(error)}", file=sys.stderr, flush=True)
            return self._replicas


async def _run(settings: Settings, fd: int, threads: Executor) -> None:
    frames, out = await open_pipes(os.dup(fd))  # the loop closes its own
    opening = asyncio.create_task(_open(settings, out, threads), name="open")
    # The server sends no calls before READY, so the only possible input is its end.
    ended = asyncio.create_task(read_frame(frames), name="input")
    try:
        while not opening.done():
            await asyncio.wait(
                {opening, ended}, timeout=_PROGRESS_PERIOD_S, return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done():
                return
            if not opening.done():
                options = settings.cluster
                needed = f"a replica needs {options.cpus:g} CPUs and {options.gpus:g} GPUs"
                out.write(pack_frame(FrameKind.LOG, 0, f"still waiting for the models: {needed}".encode()))
    finally:
        ended.cancel()
        opening.cancel()
        await asyncio.gather(ended, opening, return_exceptions=True)
    gateway, described = opening.result()
    await gateway.serve(described, frames)


async def _open(
    settings: Settings, out: asyncio.StreamWriter, threads: Executor
) -> tuple[Gateway, DescribeReply]:
    loop = asyncio.get_running_loop()
    handle = await loop.run_in_executor(threads, find_or_deploy, settings)
    gateway = Gateway(handle, settings.cluster.app, out, threads)
    described = _check_fingerprint(await gateway.describe(), settings)
    if described.settings != settings.cluster:
        theirs = ", ".join(f"{name} {value}" for name, value in _differences(described, settings).items())
        note = f"the models run in the cluster with {theirs}; this server's settings do not change them"
        out.write(pack_frame(FrameKind.LOG, 0, note.encode()))
    return gateway, described


def _differences(described: DescribeReply, settings: Settings) -> dict[str, object]:
    ours = msgspec.structs.asdict(settings.cluster)
    theirs = msgspec.structs.asdict(described.settings)
    return {name: value for name, value in theirs.items() if value != ours[name]}


def _check_fingerprint(answer: ReplicaReply, settings: Settings) -> DescribeReply:
    """Raises ClusterError."""
    match answer.body:
        case DescribeReply(fingerprint=theirs) as described if theirs == fingerprint(settings):
            return described
    raise ClusterError(
        f"expected this server's models in the cluster as {settings.cluster.app}, got others: "
        "start this server with the same models and version, or set cluster.app to another name"
    )


def _describe(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def main() -> None:
    # Anything printed goes to stderr, for the log: standard output carries frames.
    fd = os.dup(1)
    os.dup2(2, 1)
    address, settings = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Settings)
    try:
        with connect_to_ray(address):
            failure = _run_to_end(settings, fd)
    except ClusterError as error:
        failure = error
    if failure is not None:
        os.write(fd, pack_frame(FrameKind.FAILED, 0, str(failure).encode()))
    os._exit(0 if failure is None else 1)  # a thread may still be blocked on an unreachable cluster


def _run_to_end(settings: Settings, fd: int) -> ClusterError | None:
    """The error that ended it; None where the server closed the input."""
    try:
        asyncio.run(_run(settings, fd, ThreadPoolExecutor(1, "cluster")))
    except LostClusterError as error:
        os.write(fd, pack_frame(FrameKind.FAILED, 0, str(error).encode()))
        os._exit(1)  # Ray's own shutdown would wait for the cluster too
    except ClusterError as error:
        return error
    return None


if __name__ == "__main__":
    main()
