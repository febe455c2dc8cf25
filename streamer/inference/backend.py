"""What a session needs of the models, whether they are in this process or in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from emostream.models import (
    BaselineSettings,
    Clip,
    Prediction,
    SpeechPresence,
    Transcript,
    Voice,
    Word,
)

from .capacity import Capacity
from .interim_budget import InterimBudget
from .metrics import Metrics
from .pending import PendingBaseline
from .request import Priority, RequestContext


@dataclass(frozen=True, slots=True)
class Analysis:
    """The models' results for one utterance. words: those of the transcript, each with a span in the clip.

    prediction is None where there is no speech: `speech` has the reason. speech is None where it was not
    checked. transcript is None without a transcriber, without speech, or where the transcriber failed
    (`asr_error`). The times are seconds of the wall clock.

    voice: the clip's mean state, of which the speaker's baseline is made; None where the model takes no
    baseline. baseline_utterances: how many utterances of the speaker stand behind the baseline that the clip
    was judged against; None where there was none.
    """

    transcript: Transcript | None
    words: tuple[Word, ...]
    prediction: Prediction | None
    asr_error: str | None
    queue_s: float
    asr_s: float
    align_s: float
    emotion_s: float
    speech: SpeechPresence | None = None
    voice: Voice | None = None
    baseline_utterances: int | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The models by name. asr: None without a transcriber. labels: in the order of every probability
    vector. asr_source: where the transcriber's weights were found; None where they come with its program.
    asr_languages: the primary subtags of those that it transcribes, empty where it does not tell.
    baseline: how the emotion model forms a speaker's baseline; None where it takes none. voice_probe: see
    `voice_probe`; None where it takes no baseline or was not asked. detects_language: whether the transcriber
    does, without a hint.
    """

    asr: str | None
    emotion: str
    device: str
    labels: tuple[str, ...]
    asr_source: str | None = None
    asr_languages: tuple[str, ...] = ()
    baseline: BaselineSettings | None = None
    voice_probe: tuple[float, ...] | None = None
    detects_language: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """unresponsive: whether the models do not answer at present. problems: what is wrong with them, one
    sentence each, for people.
    """

    unresponsive: bool = False
    problems: tuple[str, ...] = ()


PartialTranscription = Callable[[Clip, RequestContext], Coroutine[Any, Any, None]]
"""Lets the transcriber work on the beginning of an utterance, if it has time."""


class InferenceBackend(Protocol):
    """`engine.Engine` holds the models itself; the cluster's `RemoteEngine` sends each utterance to a
    replica.
    """

    @property
    def model_info(self) -> ModelInfo: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def capacity(self) -> Capacity: ...

    @property
    def interim_budget(self) -> InterimBudget:
        """Of the words while somebody speaks, which are shed first."""
        ...

    def health(self) -> Health: ...

    def running(self) -> AbstractAsyncContextManager[object]:
        """The calls below work inside this context."""
        ...

    def begin_shutdown(self) -> None:
        """From now on transcripts that take long are not waited for."""
        ...

    async def warm_up(self, clip: Clip) -> float:
        """What a stream costs that consists of such clips, as a share of the busiest model's time, in one
        copy of the models.

        Raises AnalysisError, and RequestShedError where the models have too much to do.
        """
        ...

    def new_request(self, priority: Priority, stream: object = None) -> RequestContext:
        """For one analysis. stream: the one it belongs to, if any."""
        ...

    async def analyse(
        self,
        clip: Clip,
        request: RequestContext,
        *,
        words: bool = True,
        baseline: PendingBaseline | None = None,
    ) -> Analysis:
        """words: whether to transcribe, where there is a transcriber. baseline: of the speaker, waited for;
        None: judge against the common one.

        Raises AnalysisError where there is speech and no prediction; without a transcript there still is one.
        Raises RequestShedError where the models have no time for a request that is not a final.
        """
        ...

    @property
    def transcribe_partial(self) -> PartialTranscription | None:
        """None where the transcriber cannot work incrementally."""
        ...
