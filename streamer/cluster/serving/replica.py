"""A replica of the models: a Ray Serve actor around the engine of a single-machine server.

Ray Serve's own batching waits on a timer; here a call goes straight to the engine and shares a batch with the
calls that are pending when a model becomes free.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from socket import gethostname
from typing import Final

import msgspec

from emostream.streamer.clock import Clock, WallClock
from emostream.streamer.config import Settings
from emostream.streamer.errors import AnalysisError
from emostream.streamer.inference.admission import AdmissionController
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.load_models import load_engine
from emostream.streamer.inference.pending import PendingBaseline
from emostream.streamer.inference.request import Priority, RequestContext, RequestShedError

from .messages import (
    AnalyseCall,
    AnalysisReply,
    DescribeCall,
    DescribeReply,
    FailureReply,
    HealthCall,
    HealthReply,
    ReplicaCall,
    ReplicaReply,
    ReplyBody,
    ShedReply,
    WarmUpCall,
    WarmUpReply,
    clip_from_call,
    decode_call,
    encode,
)

_SAMPLE_PERIOD_S: Final = 1.0


def fingerprint(settings: Settings) -> str:
    """Servers may share models where this is equal: a hash of version, model settings and timeout."""
    what = (version("emostream"), msgspec.to_builtins(settings.models), settings.server.model_timeout_ms)
    return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()[:16]


def _load_live(settings: Settings, clock: Clock) -> Engine:
    return load_engine(settings, clock, live=True)


class Replica:
    """Handles calls concurrently. load: creates the engine, in a thread of its own."""

    def __init__(self, settings: Settings, load: Callable[[Settings, Clock], Engine] = _load_live) -> None:
        self._settings = settings
        self._load_engine = load
        self._name = f"{gethostname()}:{os.getpid()}"
        self._clock = WallClock()
        self._starting: asyncio.Task[_Started] | None = None

    async def call(self, payload: bytes) -> bytes:
        """Handle an encoded `messages.ReplicaCall`; returns an encoded `messages.ReplicaReply`.

        Raises ModelError where the models cannot be loaded.
        """
        started = await self._started()
        body: ReplyBody
        try:
            body = await self._handle(started.engine, decode_call(payload))
        except RequestShedError:
            body = ShedReply()
        except AnalysisError as error:
            body = FailureReply(str(error))
        return encode(ReplicaReply(body, self._name, started.load.load, started.engine.health().problems))

    async def check_health(self) -> None:
        """Called by Serve before the first call, so that a replica only joins once its models are loaded, and
        periodically after that; Serve replaces a replica that raises here.
        """
        started = await self._started()
        health = started.engine.health()
        if health.unresponsive:
            raise RuntimeError("; ".join(health.problems))
        if started.serving.done():
            raise RuntimeError("the engine has stopped") from started.serving.exception()

    async def _handle(self, engine: Engine, call: ReplicaCall) -> ReplyBody:
        match call:
            case AnalyseCall():
                return await self._analyse(engine, call)
            case WarmUpCall():
                return WarmUpReply(await engine.warm_up(clip_from_call(call)))
            case DescribeCall():
                return DescribeReply(engine.model_info, fingerprint(self._settings), self._settings.cluster)
            case HealthCall():
                return HealthReply()

    async def _analyse(self, engine: Engine, call: AnalyseCall) -> AnalysisReply:
        started_at = self._clock.now()
        request = engine.new_request(Priority(call.priority), call.stream)
        request.interim_words = call.words and request.priority is Priority.INTERIM
        promotion = None
        if request.priority is Priority.CANDIDATE and call.final_after_s is not None:
            promotion = asyncio.get_running_loop().call_later(call.final_after_s, _promote, request)
        try:
            analysis = await engine.analyse(
                clip_from_call(call),
                request,
                words=call.words,
                baseline=None if call.baseline is None else PendingBaseline.known(call.baseline),
            )
        finally:
            if promotion is not None:
                promotion.cancel()
        return AnalysisReply(analysis, self._clock.now() - started_at, request.compute_by_model)

    async def _started(self) -> _Started:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="load the models")
        return await asyncio.shield(self._starting)

    async def _start(self) -> _Started:
        engine = await asyncio.to_thread(self._load_engine, self._settings, self._clock)
        load = AdmissionController(engine.capacity, self._clock, 1.0)
        return _Started(engine, load, asyncio.create_task(self._serve(engine, load), name="serve"))

    async def _serve(self, engine: Engine, load: AdmissionController) -> None:
        """Run until Serve ends the process."""
        async with engine.running():
            while True:
                load.sample()
                await self._clock.sleep_until(self._clock.now() + _SAMPLE_PERIOD_S)


@dataclass(frozen=True, slots=True)
class _Started:
    engine: Engine
    load: AdmissionController
    serving: asyncio.Task[None]


def _promote(request: RequestContext) -> None:
    request.priority = Priority.FINAL
