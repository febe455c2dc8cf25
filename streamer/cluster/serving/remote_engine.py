"""A backend whose models are replicas in a cluster; an utterance whose replica is lost is sent again."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import uuid4

from emostream.models import Clip, SpeakerBaseline
from emostream.streamer.clock import Clock
from emostream.streamer.concurrency import task_group
from emostream.streamer.config import Settings
from emostream.streamer.errors import AnalysisError, OverloadedError
from emostream.streamer.inference.backend import Analysis, Health, ModelInfo
from emostream.streamer.inference.capacity import Capacity
from emostream.streamer.inference.interim_budget import InterimBudget
from emostream.streamer.inference.metrics import Metrics
from emostream.streamer.inference.pending import PendingBaseline
from emostream.streamer.inference.request import ComputeTime, Priority, RequestContext, RequestShedError
from emostream.streamer.inference.shutdown import SHUTDOWN_MESSAGE, ShutdownGrace

from .gateway_client import GATEWAY, GatewayClient, ReplicaLostError
from .load_tracker import LoadTracker
from .messages import (
    AnalysisReply,
    ClusterHealth,
    ClusterInfo,
    FailureReply,
    ReplicaReply,
    ShedReply,
    WarmUpCall,
    WarmUpReply,
    encode,
    encode_analyse_call,
)

log = logging.getLogger(__name__)

_SILENT_S: Final = 8.0
"""Without an answer or a heartbeat the cluster counts as lost."""
_TIMEOUTS_PER_CALL: Final = 3
"""A replica may take the models' timeout so often: to wait for them, for a transcript, and for the prediction
without one. It ends a call that does not return by itself; this limit is for a replica that cannot be reached
any more.
"""
_MODELS: Final = ("asr", "emotion", "align")
_ATTEMPTS: Final = 4
"""Replicas that may be lost on one utterance: it may be the utterance that crashes them."""
_PAUSE_S: Final = 0.2  # before the second attempt, twice as long before each further one


class RemoteEngine:
    """Does what `engine.Engine` does, except incremental transcription: the cache that it fills is in one
    replica, and the final may go to another. address: see `ray_cluster.connect_to_ray`. gateway: see
    `GatewayClient`.
    """

    transcribe_partial = None

    def __init__(
        self, address: str, settings: Settings, clock: Clock, gateway: Sequence[str] = GATEWAY
    ) -> None:
        self.compute_time = ComputeTime()
        self.metrics = Metrics(self.compute_time)
        self._id = uuid4().hex  # in the replicas, which other servers use too
        self._clock = clock
        self._call_timeout_s = settings.server.model_timeout_ms / 1_000
        self._gateway = GatewayClient(address, settings, clock, self._note_health, gateway)
        self._loads = LoadTracker(clock)
        self.interim_budget = InterimBudget(lambda: self.capacity, self.compute_time.interim_words_s, clock)
        self._cluster: ClusterInfo | None = None
        self._answered_at = -math.inf
        self._shutdown = ShutdownGrace(clock)

    @property
    def model_info(self) -> ModelInfo:
        assert self._cluster is not None  # read inside `running`
        return self._cluster.model_info

    @property
    def _silent_s(self) -> float:
        """Since the last answer of a replica."""
        return self._clock.now() - self._answered_at

    @property
    def _unresponsive(self) -> bool:
        return self._silent_s > _SILENT_S

    def health(self) -> Health:
        """Unresponsive while the cluster has not answered for a while."""
        problems = self._loads.problems()
        if not self._unresponsive:
            return Health(problems=problems)
        silence = f"cluster: no answer for {self._silent_s:.0f} s ({self._gateway.address})"
        return Health(unresponsive=True, problems=(silence, *problems))

    @property
    def capacity(self) -> Capacity:
        """Of the replicas on average, as far as this server knows them."""
        return Capacity(
            busy_seconds=[self._loads.busy_s],
            own_busy_seconds=[partial(self._loads.own_busy_s, model) for model in _MODELS],
            replica_count=lambda: self._loads.replicas,
            ensure_available=self._ensure_available,
        )

    def _ensure_available(self) -> None:
        if self._unresponsive:
            raise OverloadedError(
                "expected the models to answer, got nothing from the cluster for "
                f"{self._silent_s:.0f} s; "
                f"try again in {(OverloadedError.retry_after_ms or 0) / 1_000:g} s, or another server"
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RemoteEngine]:
        """Raises ClusterError where there is no cluster, or not with these models."""
        opened: asyncio.Future[ClusterInfo] = asyncio.get_running_loop().create_future()
        async with task_group() as group:
            gateway = group.create_task(self._gateway.run(opened), name="gateway")
            try:
                self._cluster = await opened
                self._answered_at = self._clock.now()
                self._loads.replicas = self._cluster.replicas
                yield self
            finally:
                gateway.cancel()

    def begin_shutdown(self) -> None:
        """From now on transcripts that take long are not waited for."""
        self._shutdown.begin()

    async def warm_up(self, clip: Clip) -> float:
        """As a share of one replica's time. Raises AnalysisError, RequestShedError."""
        call = encode(WarmUpCall(clip.samples.tobytes()))
        answer = await self._call(lambda: call, self.new_request(Priority.FINAL))
        assert isinstance(answer.body, WarmUpReply)
        return answer.body.share

    def new_request(self, priority: Priority, stream: object = None) -> RequestContext:
        """For one analysis. stream: the one it belongs to, if any."""
        return RequestContext(priority, self.compute_time, self._clock.now(), stream)

    async def analyse(
        self,
        clip: Clip,
        request: RequestContext,
        *,
        words: bool = True,
        baseline: PendingBaseline | None = None,
    ) -> Analysis:
        """baseline: waited for before the call: its state travels with the clip, the same one in every
        attempt.

        Raises AnalysisError where there is no prediction, and RequestShedError where the models have no time
        for a request that is not a final.
        """
        started_at = self._clock.now()
        speaker = None
        if baseline is not None and self.model_info.baseline is not None:
            speaker = await baseline.wait()
        if request.language is not None:
            clip = replace(clip, expected_language=await request.language.wait())
        request.running_calls += 1
        try:
            reply = await self._reply_in_time(clip, request, speaker, words=words)
        finally:
            request.running_calls -= 1
        for model, compute_s in reply.compute_s.items():
            request.record_compute(compute_s, model)
        # What gives way makes no stream dearer: see `interim_budget`.
        if not (request.interim_words or request.priority is Priority.RECORDING):
            self._loads.record_compute(reply.compute_s)
        # Whatever the way there and back took, the utterance waited.
        transfer_s = max(0.0, self._clock.now() - started_at - reply.elapsed_s)
        return replace(reply.analysis, queue_s=reply.analysis.queue_s + transfer_s)

    async def _reply_in_time(
        self, clip: Clip, request: RequestContext, speaker: SpeakerBaseline | None, *, words: bool
    ) -> AnalysisReply:
        """Once the server is closing, a transcript is waited for a little, and then left out."""
        if not words:
            return await self._reply(clip, request, speaker, words=False)
        waiting = asyncio.create_task(self._reply(clip, request, speaker, words=True), name="analyse")
        try:
            if await self._shutdown.completes(waiting):
                return waiting.result()
        finally:
            waiting.cancel()
        reply = await self._reply(clip, request, speaker, words=False)
        if self.model_info.asr is None:
            return reply
        analysis = replace(reply.analysis, asr_error=SHUTDOWN_MESSAGE)
        return AnalysisReply(analysis, reply.elapsed_s, reply.compute_s)

    async def _reply(
        self, clip: Clip, request: RequestContext, speaker: SpeakerBaseline | None, *, words: bool
    ) -> AnalysisReply:
        stream = None if request.stream is None else f"{self._id}.{id(request.stream)}"

        def call() -> bytes:
            # Encoded again for every attempt: a candidate may be a final by then.
            return encode_analyse_call(clip, request, stream, words=words, baseline=speaker)

        outcome = (await self._call(call, request)).body
        assert isinstance(outcome, AnalysisReply)
        return outcome

    async def _call(self, call: Callable[[], bytes], request: RequestContext) -> ReplicaReply:
        answer = await self._call_until_answered(call, request)
        match answer.body:
            case ShedReply():
                raise RequestShedError
            case FailureReply(message):
                raise AnalysisError(message)
        return answer

    async def _call_until_answered(self, call: Callable[[], bytes], request: RequestContext) -> ReplicaReply:
        """The answer of the first replica that is not lost during the call."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = await self._call_with_timeout(call())
            except ReplicaLostError as lost:
                self.metrics.lost.inc()
                if request.priority.sheddable:
                    raise RequestShedError from lost  # the session requests it again as a final
                if attempt == _ATTEMPTS:
                    raise AnalysisError(f"it was lost with {_ATTEMPTS} replicas: {lost}") from lost
                log.warning("an utterance is sent again: %s", lost)
                await self._clock.sleep_until(self._clock.now() + _PAUSE_S * 2 ** (attempt - 1))
            else:
                self._note_health(ClusterHealth(self._loads.replicas, answer))
                return answer
        raise AssertionError("unreachable")

    async def _call_with_timeout(self, call: bytes) -> ReplicaReply:
        """Raises ReplicaLostError, and AnalysisError where no answer comes for too long."""
        waiting = asyncio.create_task(self._gateway.call(call), name="call a replica")
        try:
            for _ in range(_TIMEOUTS_PER_CALL):
                await asyncio.wait({waiting}, timeout=self._call_timeout_s)
                if waiting.done():
                    return await waiting
                if self._unresponsive:
                    break
        finally:
            waiting.cancel()
        raise AnalysisError(
            f"expected an answer from the cluster within {self._call_timeout_s:g} s, got none"
        )

    def _note_health(self, health: ClusterHealth) -> None:
        self._loads.replicas = health.replicas
        if health.replica_health is not None:
            self._answered_at = self._clock.now()
            self._loads.update(health.replica_health)
