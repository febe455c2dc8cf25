"""Utterance -> analysis. Owns the models' threads and the batchers in front of them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

from emostream.models import (
    Alignment,
    Clip,
    EncodedAudio,
    IncrementalTranscriber,
    Prediction,
    Recognizer,
    Transcriber,
    Transcript,
)

from ..clock import Clock
from ..concurrency import task_group
from ..errors import AnalysisError
from .backend import Analysis, ModelInfo
from .batcher import Batcher, ModelWorker, TimedResult
from .metrics import Metrics
from .request import ComputeTime, Priority, RequestContext, RequestShedError

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds of padded audio in one forward of the emotion model. A transcriber's cost counts clips: it groups
# them by itself.
_EMOTION_BUDGET: Final = 64.0

# How long words are waited for once the house is closing: a final without words is better than none.
_SHUTDOWN_GRACE_S: Final = 0.5

# Without hearing ahead, once that has failed: it is asked ten times a second.
_DEAF_S: Final = 10.0

# Between two utterances of somebody who talks, in `rehearse`.
_PAUSE_S: Final = 1.4


Heard = tuple[Clip, Transcript | None]
Fusable = tuple[EncodedAudio, Transcript | None, Alignment]


class Engine:
    """Four calls: transcribe, encode, align, fuse; and `listen`, for a transcriber that hears ahead. Each
    model has one thread, and batches of its own.

    The audio encoder runs while the transcriber runs; alignment and fusion wait for both.

    call_timeout_s: how long a model may work on an utterance before it is given up; None is for ever.
    """

    def __init__(
        self,
        transcriber: Transcriber | None,
        recognizer: Recognizer,
        clock: Clock,
        *,
        call_timeout_s: float | None = None,
    ) -> None:
        self.transcriber = transcriber
        self.recognizer = recognizer
        self.time = ComputeTime()
        self.metrics = Metrics(self.time)
        self._clock = clock
        self._deaf_until = -math.inf
        self._hurry = asyncio.Event()
        self._hurry_until = math.inf
        self._asr_thread = None if transcriber is None else ModelWorker("asr", call_timeout_s)
        self._emotion_thread = ModelWorker("emotion", call_timeout_s)
        # An aligner is a model of its own: while it searches, other utterances are encoded and fused.
        self._align_thread = ModelWorker("align", call_timeout_s)
        self._transcribe = (
            None
            if transcriber is None or self._asr_thread is None
            else Batcher[Clip, Transcript](
                transcriber.transcribe,
                self._asr_thread,
                clock,
                cost=lambda _: 1.0,
                budget=transcriber.batch_size,
            )
        )
        self._ahead = (
            Batcher[Clip, None](
                _one_by_one(transcriber.transcribe_partial),
                self._asr_thread,
                clock,
                cost=lambda _: 1.0,
                budget=1.0,
            )
            if isinstance(transcriber, IncrementalTranscriber) and self._asr_thread is not None
            else None
        )
        # Registered first: whoever is nearly done goes before whoever has just come.
        self._fuse = Batcher[Fusable, Prediction](
            self._call_fuse,
            self._emotion_thread,
            clock,
            cost=lambda fusable: fusable[0].seconds,
            budget=_EMOTION_BUDGET,
        )
        self._encode = Batcher[Clip, EncodedAudio](
            recognizer.encode,
            self._emotion_thread,
            clock,
            cost=lambda clip: clip.seconds,
            budget=_EMOTION_BUDGET,
        )
        self._align = Batcher[Heard, Alignment](
            self._call_align,
            self._align_thread,
            clock,
            # One after the other, so that the first need not wait for the last.
            cost=lambda _: 1.0,
            budget=1.0,
        )

    @property
    def threads(self) -> list[ModelWorker]:
        """One a model."""
        threads = [self._emotion_thread, self._align_thread]
        return threads if self._asr_thread is None else [*threads, self._asr_thread]

    @property
    def model_info(self) -> ModelInfo:
        """Waits for a transcriber that still loads."""
        asr = None if self.transcriber is None else self.transcriber.name
        one = self.recognizer
        return ModelInfo(asr, one.name, one.device, one.labels)

    @property
    def busy(self) -> Sequence[Callable[[], float]]:
        """For each model, the seconds for which it has worked so far."""
        return [partial(_busy_s, thread) for thread in self.threads]

    @property
    def ours(self) -> None:
        """Nobody shares the models."""

    @property
    def copies(self) -> int:
        return 1

    def ensure_available(self) -> None:
        """The models are here: how much they have to do is `admission`'s."""

    @property
    def hangs(self) -> bool:
        """Whether a model has worked on one call for longer than it may."""
        return any(thread.hangs for thread in self.threads)

    def trouble(self) -> tuple[str, ...]:
        """For people: what is wrong with the models at present."""
        return tuple(said for thread in self.threads if (said := thread.trouble) is not None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """The batchers serve inside this context."""
        try:
            async with task_group() as group:
                loops = [group.create_task(thread.serve(), name="serve a model") for thread in self.threads]
                yield self
                for loop in loops:
                    loop.cancel()
        finally:
            for thread in self.threads:
                thread.close()

    def begin_shutdown(self) -> None:
        """The house closes: from now on words that take long are not waited for."""
        self._hurry_until = self._clock.now() + _SHUTDOWN_GRACE_S
        self._hurry.set()

    async def warm_up(self, clip: Clip) -> float:
        """What a stream costs that says such a clip every time, as a share of the busiest model's time: with
        the pause behind it, and half as much again for what is analysed in vain and while somebody speaks.

        Raises AnalysisError, and RequestShedError where the models have too much to do.
        """
        # Not as a final: it would share a batch with somebody's, and change the last digits of it.
        ask = self.ask(Priority.INTERIM)
        await self.analyse(clip, ask)
        return 1.5 * max(ask.compute_by_model.values()) / (clip.seconds + _PAUSE_S)

    def ask(self, priority: Priority, stream: object = None) -> RequestContext:
        """For one analysis. stream: whose, where there is one."""
        return RequestContext(priority, self.time, self._clock.now(), stream)

    @property
    def transcribes_incrementally(self) -> bool:
        """Whether `listen` does anything."""
        return self._ahead is not None

    async def listen(self, clip: Clip, ask: RequestContext) -> None:
        """Let the transcriber work on the beginning of an utterance, if it can and has time."""
        if self._ahead is None or self._clock.now() < self._deaf_until:
            return
        try:
            await self._ahead.submit(clip, ask)
        except RequestShedError:
            return
        except Exception as error:  # the words are not lost: the final asks for them, and is told
            self._deaf_until = self._clock.now() + _DEAF_S
            log.warning("the transcriber failed while somebody spoke: %s", error)

    async def analyse(self, clip: Clip, ask: RequestContext, *, words: bool = True) -> Analysis:
        """words: whether the transcriber is asked, where there is one.

        Raises AnalysisError where there is no judgement; without words there is still one. Raises
        RequestShedError where the models have no time for what is no final.
        """
        async with task_group() as group:
            hearing = group.create_task(self._hear(clip, ask) if words else _nothing())
            encoding = group.create_task(_result(self._encode.submit(clip, ask)))
        (heard, asr_error), code = hearing.result(), encoding.result()
        if isinstance(code, Exception):
            raise AnalysisError(f"the emotion model failed: {code}") from code
        transcript = None if heard is None else heard.value
        aligned = await _result(self._align.submit((clip, transcript), ask))
        if isinstance(aligned, Exception):
            raise AnalysisError(f"the alignment failed: {aligned}") from aligned
        judged = await _result(self._fuse.submit((code.value, transcript, aligned.value), ask))
        if isinstance(judged, Exception):
            raise AnalysisError(f"the emotion model failed: {judged}") from judged
        if (wrong := _what_is_wrong(judged.value, self.recognizer.labels)) is not None:
            self._emotion_thread.complain(wrong)
            raise AnalysisError(f"the emotion model gave {wrong}")
        return Analysis(
            transcript=transcript,
            words=aligned.value.words,
            prediction=judged.value,
            asr_error=asr_error,
            # Hearing and encoding run side by side: the utterance waited for the slower of the two.
            queue_s=max(code.waited_s, 0.0 if heard is None else heard.waited_s)
            + aligned.waited_s
            + judged.waited_s,
            asr_s=0.0 if heard is None else heard.took_s,
            align_s=aligned.took_s,
            emotion_s=code.took_s + judged.took_s,
        )

    async def _hear(
        self, clip: Clip, ask: RequestContext
    ) -> tuple[TimedResult[Transcript] | None, str | None]:
        if self._transcribe is None:
            return None, None
        asking = asyncio.create_task(_result(self._transcribe.submit(clip, ask)), name="hear")
        try:
            if not await self._in_time(asking):
                return None, "the server is closing: this utterance is judged by its sound alone"
        finally:
            asking.cancel()
        heard = asking.result()
        if isinstance(heard, Exception):
            log.error("the transcriber failed on %.1f s of audio", clip.seconds, exc_info=heard)
            return None, f"the transcriber failed: {heard}; this utterance is judged by its sound alone"
        return heard, None

    async def _in_time(self, asking: asyncio.Task[Any]) -> bool:
        hurrying = asyncio.create_task(self._hurry.wait(), name="hurry")
        try:
            await asyncio.wait({asking, hurrying}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                await asyncio.wait({asking}, timeout=max(0.0, self._hurry_until - self._clock.now()))
        finally:
            hurrying.cancel()
        return asking.done()

    def _call_align(self, heard: Sequence[Heard]) -> list[Alignment]:
        clips, transcripts = zip(*heard, strict=True)
        return self.recognizer.align(clips, transcripts)

    def _call_fuse(self, items: Sequence[Fusable]) -> list[Prediction]:
        codes, transcripts, alignments = zip(*items, strict=True)
        return self.recognizer.fuse(codes, transcripts, alignments)


def _busy_s(thread: ModelWorker) -> float:
    return thread.busy_s


def _what_is_wrong(prediction: Prediction, labels: Sequence[str]) -> str | None:
    """With what a recognizer says; None where it is a judgement."""
    try:
        views = [prediction.probabilities, prediction.audio_only]
        views += [] if prediction.text_only is None else [prediction.text_only]
        if not all(math.isfinite(p) for view in views for p in (*view, prediction.confidence)):  # type: ignore[misc]
            return "probabilities that are not numbers"
        if prediction.label not in labels or any(len(view) != len(labels) for view in views):  # type: ignore[arg-type]
            return "a judgement that does not fit its labels"
    except (AttributeError, TypeError):
        return f"no judgement but {type(prediction).__name__}"
    return None


def _one_by_one(call: Callable[[Clip], None]) -> Callable[[Sequence[Clip]], list[None]]:
    def calls(clips: Sequence[Clip]) -> list[None]:
        for clip in clips:
            call(clip)
        return [None] * len(clips)

    return calls


async def _nothing() -> tuple[None, None]:
    return None, None


async def _result(waiting: Awaitable[T]) -> T | Exception:
    """The exception as a value: in a TaskGroup a raised one would cancel its neighbours."""
    try:
        return await waiting
    except RequestShedError:
        raise  # and its neighbours need not go on
    except Exception as error:  # it becomes an AnalysisError of this utterance, with its cause
        return error
