"""The baseline of a stream's speaker: what its finals so far have said of his voice.

Causal: an utterance is judged against the finals before it, in the order of speech. Candidates and interim
results read the state and never change it, so what is analysed ahead of time has the same result as what is
analysed at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emostream.models import BaselineSettings, SpeakerBaseline

from ..inference.backend import Analysis, ModelInfo
from ..inference.pending import PendingBaseline

_NEUTRAL: Final = "neutral"


@dataclass(frozen=True, slots=True)
class SpeakerOptions:
    """adapt: whether utterances are judged against the speaker's baseline, where the model takes one. start:
    what is known of the speaker before the first utterance. fixed: whether it stays so.
    """

    adapt: bool = True
    start: SpeakerBaseline | None = None
    fixed: bool = False


ADAPT: Final = SpeakerOptions()
"""Begin with the common baseline and move to the speaker's own."""


class RunningBaseline:
    """Of one stream. settings: the model's. labels: in the order of its probabilities."""

    def __init__(
        self, settings: BaselineSettings, labels: Sequence[str], options: SpeakerOptions = ADAPT
    ) -> None:
        self._settings = settings
        self._neutral = labels.index(_NEUTRAL) if _NEUTRAL in labels else None
        self._fixed = options.fixed
        self.state = options.start or SpeakerBaseline()
        self._pending = PendingBaseline.known(self.state)

    @classmethod
    def of_stream(cls, info: ModelInfo, options: SpeakerOptions) -> RunningBaseline | None:
        """None where the model takes none or the options want none."""
        if info.baseline is None or not options.adapt:
            return None
        return cls(info.baseline, info.labels, options)

    @property
    def pending(self) -> PendingBaseline:
        """For an utterance after the last final: known once all finals before it have results."""
        return self._pending

    def begin_final(self) -> PendingBaseline:
        """A final's end has been decided: what follows waits for its result. Pass what this returns to
        `end_final`.
        """
        self._pending = PendingBaseline()
        return self._pending

    def end_final(self, pending: PendingBaseline, analysis: Analysis | None) -> None:
        """To be called for each final in the order of speech. analysis: None where it failed. An utterance
        without a result, without speech or with doubtful speech says nothing of the voice.
        """
        if analysis is not None and not self._fixed:
            self._update(analysis)
        pending.set(self.state)

    def _update(self, analysis: Analysis) -> None:
        voice, prediction, speech = analysis.voice, analysis.prediction, analysis.speech
        if voice is None or prediction is None or (speech is not None and speech.doubtful):
            return
        p_neutral = 1.0 if self._neutral is None else prediction.probabilities[self._neutral]
        self.state = self.state.updated(voice, p_neutral, self._settings)
