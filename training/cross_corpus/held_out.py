"""A corpus behind a model that was not trained on it: each clip for itself, and simulated streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from emostream.models.baseline import SpeakerBaseline
from emostream.models.emotion import EmotionModel
from emostream.models.reliability_estimator import distance

from .choice import Choice
from .clips import NEUTRAL, SpeechClip
from .folds import EvaluatedPredictions
from .projected import ProjectedClips
from .states import Views
from .streams import SCORED_FROM, STREAM_UTTERANCES, KnownVoice, simulated_streams

COLD: Final = "cold"
Floats = npt.NDArray[np.float64]


class ScoredClips(Protocol):
    """Clips behind a model. voices: (N, D), what baselines are made of."""

    voices: npt.NDArray[np.float32]

    def logits(self, rows: Iterable[int], baselines: Sequence[KnownVoice | None] | None = None) -> Floats:
        """(M, C) for these rows. baselines: one for each; None: the common one."""
        ...


class HeldOut:
    """clips: of one corpus. temperature: of the model."""

    def __init__(self, scored: ScoredClips, clips: Sequence[SpeechClip], temperature: float) -> None:
        self.corpus = clips[0].corpus
        self._clips = clips
        self._scored = scored
        self._temperature = temperature
        self._cold = self._scored.logits(range(len(clips))) / self._temperature

    @classmethod
    def behind(cls, model: EmotionModel, clips: Sequence[SpeechClip], views: Views) -> HeldOut:
        """model: before `correct_prior`, so that offsets can be compared."""
        return cls(ProjectedClips(model, clips, views), clips, model.config.temperatures["audio"])

    def cold(self, offset: float) -> EvaluatedPredictions:
        """Each clip for itself, without a baseline."""
        probabilities = with_offset(self._cold, offset)
        away = np.array([distance(voice, None) for voice in self._scored.voices])
        history = np.zeros(len(self._clips))
        return EvaluatedPredictions(
            self.corpus, COLD, self._clips, probabilities, probabilities, history, away
        )

    def stream(self, kind: str, choice: Choice, most: int | None = None) -> EvaluatedPredictions:
        """Streams of a kind of STREAMS, each utterance against the baseline of those before it, as a session
        forms it. most: at most so many streams.
        """
        streams = np.array(simulated_streams(self._clips, self.corpus, kind))  # (S, STREAM_UTTERANCES)
        if most is not None and len(streams) > most:
            streams = streams[np.linspace(0, len(streams) - 1, most).astype(int)]
        states = [SpeakerBaseline()] * len(streams)
        rows: list[int] = []
        probabilities, history, away = [], [], []
        for step in range(STREAM_UTTERANCES):
            now = streams[:, step].tolist()
            known = [self._known(state, choice) for state in states]
            p = with_offset(self._scored.logits(now, known) / self._temperature, choice.neutral_offset)
            if step >= SCORED_FROM - 1:
                rows += now
                probabilities.append(p)
                history += [0.0 if one is None else one[1] for one in known]
                away += [
                    distance(self._scored.voices[row], None if one is None else one[0])
                    for row, one in zip(now, known, strict=True)
                ]
            states = [
                state.updated(self._scored.voices[row], p_neutral, choice.baseline)
                for state, row, p_neutral in zip(states, now, p[:, NEUTRAL].tolist(), strict=True)
            ]
        cold = with_offset(self._cold[rows], choice.neutral_offset)
        said = [self._clips[row] for row in rows]
        return EvaluatedPredictions(
            self.corpus, kind, said, np.concatenate(probabilities), cold, np.array(history), np.array(away)
        )

    @staticmethod
    def _known(state: SpeakerBaseline, choice: Choice) -> KnownVoice | None:
        voice = state.voice(choice.baseline)
        return None if voice is None else (voice, state.known_share(choice.baseline))


def with_offset(logits: Floats, offset: float) -> Floats:
    """(N, C) probabilities. logits: calibrated; `offset` is taken from those of neutral."""
    shifted = logits.copy()
    shifted[:, NEUTRAL] -= offset
    shifted = np.exp(shifted - shifted.max(1, keepdims=True))
    result: Floats = shifted / shifted.sum(1, keepdims=True)
    return result
