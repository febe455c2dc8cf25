"""The models in this process, shared by all streams that ask for the same ones.

They run in a thread with an event loop of its own, so that loading them, cutting audio into utterances and
analysing them hold up no framework's loop, and streams of several loops (LiveKit can run a job in each) share
one engine. A stream is the server's own session, with the same settings.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from asyncio import AbstractEventLoop, run_coroutine_threadsafe, wrap_future
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from emostream.streamer.clock import Clock, WallClock
from emostream.streamer.config import ModelSettings, Settings
from emostream.streamer.errors import AnalysisError, ConnectError
from emostream.streamer.inference.backend import InferenceBackend
from emostream.streamer.inference.load_models import load_engine
from emostream.streamer.protocol import messages
from emostream.streamer.recognize import Device
from emostream.streamer.server.warm_up import noise_clip

from .local_session import LocalSession

log = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_EVENTS: Final = 64
"""That wait for the framework's loop; then the session waits."""
_CLOSED: Final = "expected an engine that runs, got one that was closed; open a stream with another one"


def _load(settings: Settings, clock: Clock) -> InferenceBackend:
    return load_engine(settings, clock, live=True)


class LocalEngine:
    """asr, checkpoint, device: as the options of `emostream live`, asr "none" for audio only; settings: of a
    settings file, whose models they replace. load: makes the engine, in its thread.

    Nothing is loaded before `ready` or the first stream. The thread ends with `close`, or with the process.
    """

    _shared: ClassVar[dict[bytes, LocalEngine]] = {}
    _sharing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        asr: str | None = None,
        checkpoint: str | Path | None = None,
        device: Device | None = None,
        settings: Settings | None = None,
        load: Callable[[Settings, Clock], InferenceBackend] = _load,
    ) -> None:
        self.settings = _with_models(settings or Settings(), asr, checkpoint, device)
        self._load = load
        self._clock = WallClock()
        self._lock = threading.Lock()
        self._running: Future[_Running] | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def shared(
        cls,
        *,
        asr: str | None = None,
        checkpoint: str | Path | None = None,
        device: Device | None = None,
        settings: Settings | None = None,
    ) -> LocalEngine:
        """The engine of this process for these models: the same one for the same arguments."""
        made = cls(asr=asr, checkpoint=checkpoint, device=device, settings=settings)
        with cls._sharing:
            return cls._shared.setdefault(msgspec.json.encode(made.settings), made)

    async def ready(self) -> None:
        """Load the models, once, and let them analyse a first utterance. Raises ModelError."""
        await self._started()

    async def _started(self) -> _Running:
        # Shielded: who gives up waiting does not end it for the others.
        return await asyncio.shield(wrap_future(self._start()))

    def _start(self) -> Future[_Running]:
        with self._lock:
            if self._running is None or self._has_ended(self._running):
                self._running = Future()
                self._thread = threading.Thread(
                    target=self._run, args=(self._running,), name="emostream engine", daemon=True
                )
                self._thread.start()
                atexit.register(self.close)  # a process does not end well in the middle of a model's work
            return self._running

    def _has_ended(self, running: Future[_Running]) -> bool:
        """Whether the models could not be loaded, or the engine has failed since."""
        if not running.done():
            return False
        return running.exception() is not None or self._thread is None or not self._thread.is_alive()

    def _run(self, running: Future[_Running]) -> None:
        try:
            engine = self._load(self.settings, self._clock)
            asyncio.run(self._serve(engine, running))
        except BaseException as error:
            if running.done():
                log.exception("the engine has failed")
            else:
                running.set_exception(error)

    async def _serve(self, engine: InferenceBackend, running: Future[_Running]) -> None:
        async with engine.running():
            try:
                await engine.warm_up(noise_clip())
            except AnalysisError as error:
                log.warning("the warm-up failed: %s", error)
            loop = _Running(asyncio.get_running_loop(), engine, asyncio.Event())
            running.set_result(loop)
            await loop.closing.wait()

    def close(self) -> None:
        """End the thread, after the models have loaded, and let them go. Streams must have ended."""
        atexit.unregister(self.close)
        with self._lock:
            running, thread, self._running, self._thread = self._running, self._thread, None, None
        with self._sharing:
            for key, engine in list(self._shared.items()):
                if engine is self:
                    del self._shared[key]
        if running is not None and thread is not None and running.exception() is None:
            with suppress(RuntimeError):  # it has failed, and its loop has ended
                running.result().loop.call_soon_threadsafe(running.result().closing.set)
            thread.join()

    @asynccontextmanager
    async def connect(self, start: messages.Start) -> AsyncIterator[_LocalConnection]:
        """Raises ModelError, and ConfigError for a start that these settings do not take."""
        running = await self._started()
        session = await running.call(self._open(start, running.engine))
        connection = _LocalConnection(running, session)
        await running.call(connection.begin())
        try:
            yield connection
        finally:
            with suppress(ConnectError):  # its sessions have ended with the engine
                await running.call(connection.end())

    async def _open(self, start: messages.Start, engine: InferenceBackend) -> LocalSession:
        return LocalSession(start, self.settings, engine, self._clock)


@dataclass(frozen=True, slots=True)
class _Running:
    """The thread's loop, and the engine in it."""

    loop: AbstractEventLoop
    engine: InferenceBackend
    closing: asyncio.Event

    async def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it there, from another loop. Raises ConnectError where the engine was closed."""
        try:
            future = run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError as error:
            coroutine.close()
            raise ConnectError(_CLOSED) from error
        return await wrap_future(future)


class _LocalConnection:
    """A session in the engine's loop, from another loop. Made in that one."""

    def __init__(self, running: _Running, session: LocalSession) -> None:
        self._call = running.call
        self._session = session
        self._caller_loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[messages.ServerEvent | Exception] = asyncio.Queue(_MAX_EVENTS)
        self._task: asyncio.Task[None] | None = None  # of the engine's loop

    async def send(self, data: bytes) -> None:
        await self._call(self._session.feed(data))

    async def gap(self, ms: int) -> None:
        await self._call(self._session.handle(messages.Gap(ms=ms)))

    async def flush(self) -> None:
        await self._call(self._session.handle(messages.Flush()))

    async def stop(self) -> None:
        await self._call(self._session.handle(messages.Stop()))

    # In the engine's loop.

    async def begin(self) -> None:
        self._task = asyncio.create_task(self._run(), name="emostream session")

    async def end(self) -> None:
        """Without the finals, where it has not ended."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._session.run(self._deliver)
        except asyncio.CancelledError:
            with suppress(RuntimeError):  # the caller's loop has ended
                self._caller_loop.call_soon_threadsafe(self._tell, ConnectError(_CLOSED))
            raise
        except Exception as error:
            if self._caller_loop.is_closed():
                return
            await self._deliver(error)

    async def _deliver(self, event: messages.ServerEvent | Exception) -> None:
        """Returns when the caller's loop has room for it."""
        await wrap_future(run_coroutine_threadsafe(self._events.put(event), self._caller_loop))

    # In the caller's.

    def _tell(self, error: ConnectError) -> None:
        if not self._events.full():  # else nobody waits for the next event
            self._events.put_nowait(error)

    async def events(self) -> AsyncIterator[messages.ServerEvent]:
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, messages.Closed):
                return


def _with_models(
    settings: Settings, asr: str | None, checkpoint: str | Path | None, device: Device | None
) -> Settings:
    """Raises ConfigError."""
    given = {
        "asr": asr,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "device": device,
    }
    fields = msgspec.structs.asdict(settings.models) | {
        name: value for name, value in given.items() if value is not None
    }
    return msgspec.structs.replace(settings, models=ModelSettings(**fields))
