"""What a session asks of whoever holds the models: an analysis of every utterance, near or far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from emostream.models import Clip, Prediction, Transcript, Word

from .metrics import Metrics
from .request import Priority, RequestContext


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the models made of one utterance. words: the transcript's, each with a span in the clip.

    transcript is None where nobody transcribes, or where the transcriber failed (`asr_error`).
    The times are seconds of the wall clock.
    """

    transcript: Transcript | None
    words: tuple[Word, ...]
    prediction: Prediction
    asr_error: str | None
    queue_s: float
    asr_s: float
    align_s: float
    emotion_s: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The models by name. asr: None where nobody transcribes. labels: in the order of every probability
    vector.
    """

    asr: str | None
    emotion: str
    device: str
    labels: tuple[str, ...]


class InferenceBackend(Protocol):
    """`engine.Engine` holds the models itself; a cluster's is reached through one that sends for them."""

    @property
    def metrics(self) -> Metrics: ...

    @property
    def model_info(self) -> ModelInfo: ...

    @property
    def transcribes_incrementally(self) -> bool:
        """Whether `listen` does anything."""
        ...

    @property
    def hangs(self) -> bool:
        """Whether the models do not answer at present."""
        ...

    def trouble(self) -> tuple[str, ...]:
        """For people: what is wrong with the models at present."""
        ...

    @property
    def busy(self) -> Sequence[Callable[[], float]]:
        """For each model, the seconds for which it has worked so far."""
        ...

    @property
    def ours(self) -> Sequence[Callable[[], float]] | None:
        """How much of that was for this house; None where no other shares the models."""
        ...

    @property
    def copies(self) -> int:
        """Of the models, at present."""
        ...

    def ensure_available(self) -> None:
        """Raises OverloadedError where there are no models to ask at present."""
        ...

    def running(self) -> AbstractAsyncContextManager[object]:
        """The calls below are answered inside this context."""
        ...

    def begin_shutdown(self) -> None:
        """The house closes: from now on words that take long are not waited for."""
        ...

    async def warm_up(self, clip: Clip) -> float:
        """What a stream costs that says such a clip every time, as a share of the busiest model's time, in
        one copy of the models.

        Raises AnalysisError, and RequestShedError where the models have too much to do.
        """
        ...

    def ask(self, priority: Priority, stream: object = None) -> RequestContext:
        """For one analysis. stream: whose, where there is one."""
        ...

    async def listen(self, clip: Clip, ask: RequestContext) -> None:
        """Let the transcriber work on the beginning of an utterance, if it can and has time."""
        ...

    async def analyse(self, clip: Clip, ask: RequestContext, *, words: bool = True) -> Analysis:
        """words: whether the transcriber is asked, where there is one.

        Raises AnalysisError where there is no judgement; without words there is still one. Raises
        RequestShedError where the models have no time for what is no final.
        """
        ...
