"""An analyser whose models are in a cluster: it sends utterances there, and again where one is lost."""

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

from emostream.models import Clip
from emostream.streamer.clock import Clock
from emostream.streamer.concurrency import task_group
from emostream.streamer.config import Settings
from emostream.streamer.errors import AnalysisError, OverloadedError
from emostream.streamer.inference.backend import Analysis, ModelInfo
from emostream.streamer.inference.metrics import Metrics
from emostream.streamer.inference.request import ComputeTime, Priority, RequestContext, RequestShedError

from .gateway_client import GATEWAY, GatewayClient, ReplicaLostError
from .load_tracker import LoadTracker
from .messages import (
    AnalysisReply,
    Answer,
    ClusterHealth,
    ClusterInfo,
    FailureReply,
    ShedReply,
    WarmUpCall,
    WarmUpReply,
    encode,
    encode_analyse_call,
)

log = logging.getLogger(__name__)

_SILENT_S: Final = 8.0
"""Without an answer or a pulse the cluster counts as lost."""
_ROUNDS: Final = 3
"""A replica may take its models' patience as often: to wait for them, for words, and for the judgement
without them. It ends what hangs by itself; this is for what cannot be heard from any more.
"""
_MODELS: Final = ("asr", "emotion", "align")
_TRIES: Final = 4
"""Replicas that may be lost on one utterance: it may be the utterance that kills them."""
_PAUSE_S: Final = 0.2  # before the second try, twice as long before each further one
_SHUTDOWN_GRACE_S: Final = 0.5


class RemoteEngine:
    """Does what `engine.Engine` does, but for hearing ahead: the cache that is filled then is in one replica,
    and the final may go to another. address: see `connection.connected`. gateway: see `GatewayClient`.
    """

    transcribes_incrementally = False

    def __init__(
        self, address: str, settings: Settings, clock: Clock, gateway: Sequence[str] = GATEWAY
    ) -> None:
        self.time = ComputeTime()
        self.metrics = Metrics(self.time)
        self._name = uuid4().hex  # in the replicas, which other servers ask too
        self._clock = clock
        self._patience_s = settings.server.model_timeout_ms / 1_000
        self._link = GatewayClient(address, settings, clock, self._hear, gateway)
        self._loads = LoadTracker(clock)
        self._house: ClusterInfo | None = None
        self._heard_at = -math.inf
        self._hurry = asyncio.Event()

    @property
    def model_info(self) -> ModelInfo:
        assert self._house is not None  # asked inside `running`
        return self._house.model_info

    @property
    def hangs(self) -> bool:
        """Whether the cluster has not answered for a while."""
        return self._clock.now() - self._heard_at > _SILENT_S

    def trouble(self) -> tuple[str, ...]:
        """For people: what is wrong with the models at present."""
        theirs = self._loads.trouble()
        if not self.hangs:
            return theirs
        silent_s = self._clock.now() - self._heard_at
        return (f"cluster: no answer for {silent_s:.0f} s ({self._link.address})", *theirs)

    @property
    def busy(self) -> Sequence[Callable[[], float]]:
        """Of the replicas on average."""
        return [self._loads.busy_s]

    @property
    def ours(self) -> Sequence[Callable[[], float]]:
        """What this house's utterances took of that."""
        return [partial(self._loads.ours_s, model) for model in _MODELS]

    @property
    def copies(self) -> int:
        """Of the models, at present, as far as is known."""
        return self._loads.replicas

    def ensure_available(self) -> None:
        """Raises OverloadedError where the cluster is lost."""
        if self.hangs:
            raise OverloadedError(
                "expected the models to answer, got nothing from the cluster for "
                f"{self._clock.now() - self._heard_at:.0f} s; "
                f"try again in {(OverloadedError.retry_after_ms or 0) / 1_000:g} s, or another server"
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RemoteEngine]:
        """Raises ClusterError where there is no cluster, or not with these models."""
        opened: asyncio.Future[ClusterInfo] = asyncio.get_running_loop().create_future()
        async with task_group() as group:
            linked = group.create_task(self._link.run(opened), name="cluster")
            try:
                self._house = await opened
                self._heard_at = self._clock.now()
                self._loads.replicas = self._house.replicas
                yield self
            finally:
                linked.cancel()

    def begin_shutdown(self) -> None:
        """The house closes: from now on words that take long are not waited for."""
        self._hurry.set()

    async def warm_up(self, clip: Clip) -> float:
        """As a share of one replica's time. Raises AnalysisError, RequestShedError."""
        call = encode(WarmUpCall(clip.samples.tobytes()))
        answer = await self._asked(lambda: call, self.ask(Priority.FINAL))
        assert isinstance(answer.outcome, WarmUpReply)
        return answer.outcome.share

    def ask(self, priority: Priority, stream: object = None) -> RequestContext:
        """For one analysis. stream: whose, where there is one."""
        return RequestContext(priority, self.time, self._clock.now(), stream)

    async def listen(self, clip: Clip, ask: RequestContext) -> None:
        """Nobody hears ahead."""

    async def analyse(self, clip: Clip, ask: RequestContext, *, words: bool = True) -> Analysis:
        """Raises AnalysisError where there is no judgement, and RequestShedError where there is no time for
        what is no final.
        """
        began = self._clock.now()
        ask.running += 1
        try:
            analysed = await self._in_time(clip, ask, words=words)
        finally:
            ask.running -= 1
        for model, compute_s in analysed.compute_s.items():
            ask.spend(compute_s, model)
        self._loads.spend(analysed.compute_s)
        # Whatever the way there and back took, the utterance waited.
        way_s = max(0.0, self._clock.now() - began - analysed.took_s)
        return replace(analysed.analysis, queue_s=analysed.analysis.queue_s + way_s)

    async def _in_time(self, clip: Clip, ask: RequestContext, *, words: bool) -> AnalysisReply:
        """Once the house closes, words are waited for a little, and then done without."""
        asking = asyncio.create_task(self._analysed(clip, ask, words=words), name="analyse")
        hurrying = asyncio.create_task(self._hurry.wait(), name="hurry")
        try:
            await asyncio.wait({asking, hurrying}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                await asyncio.wait({asking}, timeout=_SHUTDOWN_GRACE_S)
            if asking.done() or not words:
                return await asking
        finally:
            asking.cancel()
            hurrying.cancel()
        analysed = await self._analysed(clip, ask, words=False)
        said = "the server is closing: this utterance is judged by its sound alone"
        silent = (
            analysed.analysis if self.model_info.asr is None else replace(analysed.analysis, asr_error=said)
        )
        return AnalysisReply(silent, analysed.took_s, analysed.compute_s)

    async def _analysed(self, clip: Clip, ask: RequestContext, *, words: bool) -> AnalysisReply:
        stream = None if ask.stream is None else f"{self._name}.{id(ask.stream)}"

        def call() -> bytes:
            # Made anew for every try: what was a candidate may be a final by then.
            return encode_analyse_call(clip, ask, stream, words=words)

        outcome = (await self._asked(call, ask)).outcome
        assert isinstance(outcome, AnalysisReply)
        return outcome

    async def _asked(self, call: Callable[[], bytes], ask: RequestContext) -> Answer:
        answer = await self._answer(call, ask)
        match answer.outcome:
            case ShedReply():
                raise RequestShedError
            case FailureReply(message):
                raise AnalysisError(message)
        return answer

    async def _answer(self, call: Callable[[], bytes], ask: RequestContext) -> Answer:
        """From the first replica that is not lost with it."""
        for turn in range(1, _TRIES + 1):
            try:
                answer = await self._patiently(call())
            except ReplicaLostError as lost:
                self.metrics.lost.inc()
                if ask.priority is not Priority.FINAL:
                    raise RequestShedError from lost  # it is asked for again as a final
                if turn == _TRIES:
                    raise AnalysisError(f"it was lost with {_TRIES} replicas: {lost}") from lost
                log.warning("an utterance is asked for again: %s", lost)
                await self._clock.sleep_until(self._clock.now() + _PAUSE_S * 2 ** (turn - 1))
            else:
                self._hear(ClusterHealth(self._loads.replicas, answer))
                return answer
        raise AssertionError("unreachable")

    async def _patiently(self, call: bytes) -> Answer:
        """Raises ReplicaLostError, and AnalysisError where nobody answers for too long."""
        asking = asyncio.create_task(self._link.ask(call), name="ask")
        try:
            for _ in range(_ROUNDS):
                await asyncio.wait({asking}, timeout=self._patience_s)
                if asking.done():
                    return await asking
                if self.hangs:
                    break
        finally:
            asking.cancel()
        raise AnalysisError(f"expected an answer from the cluster within {self._patience_s:g} s, got none")

    def _hear(self, health: ClusterHealth) -> None:
        self._loads.replicas = health.replicas
        if health.pulse is not None:
            self._heard_at = self._clock.now()
            self._loads.note(health.pulse)
