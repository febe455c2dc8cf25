"""One copy of the models, in a process somewhere in the cluster, with the project's own batchers before it.

Ray Serve has batching of its own, which waits on a timer; here a call goes straight to the engine that a
server on one machine has, and shares its batches with the calls that wait there when a model is free.
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
from emostream.streamer.inference.request import Priority, RequestContext, RequestShedError

from .messages import (
    AnalyseCall,
    AnalysisReply,
    Answer,
    Call,
    DescribeCall,
    DescribeReply,
    FailureReply,
    HealthCall,
    HealthReply,
    Outcome,
    ShedReply,
    WarmUpCall,
    WarmUpReply,
    clip_from_call,
    decode_call,
    encode,
)

_WATCH_S: Final = 1.0


def fingerprint(settings: Settings) -> str:
    """Servers may share models where this is the same: version, models, patience."""
    what = (version("emostream"), msgspec.to_builtins(settings.models), settings.server.model_timeout_ms)
    return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()[:16]


def _load_live(settings: Settings, clock: Clock) -> Engine:
    return load_engine(settings, clock, live=True)


class Replica:
    """Answers calls, many at once. load: what makes the engine, in a thread of its own."""

    def __init__(self, settings: Settings, load: Callable[[Settings, Clock], Engine] = _load_live) -> None:
        self._settings = settings
        self._load_engine = load
        self._name = f"{gethostname()}:{os.getpid()}"
        self._clock = WallClock()
        self._starting: asyncio.Task[_Started] | None = None

    async def call(self, payload: bytes) -> bytes:
        """A `calls.Call`, answered by a `calls.Answer`. Raises ModelError where there are no models."""
        started = await self._started()
        outcome: Outcome
        try:
            outcome = await self._outcome(started.engine, decode_call(payload))
        except RequestShedError:
            outcome = ShedReply()
        except AnalysisError as error:
            outcome = FailureReply(str(error))
        return encode(Answer(outcome, self._name, started.load.load, started.engine.health().problems))

    async def check_health(self) -> None:
        """Asked by Serve before anybody else asks, so that a replica is one of those that are only when its
        models are loaded; and later, to put another replica into the place of one that raises here.
        """
        started = await self._started()
        health = started.engine.health()
        if health.unresponsive:
            raise RuntimeError("; ".join(health.problems))
        if started.serving.done():
            raise RuntimeError("nobody serves the models any more") from started.serving.exception()

    async def _outcome(self, engine: Engine, call: Call) -> Outcome:
        match call:
            case AnalyseCall():
                return await self._analysed(engine, call)
            case WarmUpCall():
                return WarmUpReply(await engine.warm_up(clip_from_call(call)))
            case DescribeCall():
                return DescribeReply(engine.model_info, fingerprint(self._settings), self._settings.cluster)
            case HealthCall():
                return HealthReply()

    async def _analysed(self, engine: Engine, call: AnalyseCall) -> AnalysisReply:
        began = self._clock.now()
        request = engine.new_request(Priority(call.priority), call.stream)
        promotion = None
        if request.priority is Priority.CANDIDATE and call.final_after_s is not None:
            promotion = asyncio.get_running_loop().call_later(call.final_after_s, _promote, request)
        try:
            analysis = await engine.analyse(clip_from_call(call), request, words=call.words)
        finally:
            if promotion is not None:
                promotion.cancel()
        return AnalysisReply(analysis, self._clock.now() - began, request.compute_by_model)

    async def _started(self) -> _Started:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="load the models")
        return await asyncio.shield(self._starting)

    async def _start(self) -> _Started:
        engine = await asyncio.to_thread(self._load_engine, self._settings, self._clock)
        load = AdmissionController(engine.capacity, self._clock, 1.0)
        return _Started(engine, load, asyncio.create_task(self._serve(engine, load), name="serve"))

    async def _serve(self, engine: Engine, load: AdmissionController) -> None:
        """Until the process ends, which is Serve's to say."""
        async with engine.running():
            while True:
                load.sample()
                await self._clock.sleep_until(self._clock.now() + _WATCH_S)


@dataclass(frozen=True, slots=True)
class _Started:
    engine: Engine
    load: AdmissionController
    serving: asyncio.Task[None]


def _promote(request: RequestContext) -> None:
    request.priority = Priority.FINAL
